-- Only sees whether the queue is still there.
return answer(1)
