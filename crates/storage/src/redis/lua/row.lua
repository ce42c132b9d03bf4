-- One message; nil if there is none.
return answer(row(take()))
