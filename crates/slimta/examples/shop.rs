//! A shop that mails a confirmation with each order: the mail is sent if and
//! only if the order is kept.
//!
//! ```text
//! slimta serve --storage postgres://postgres@localhost/shop --relay mx &
//! cargo run -p slimta --features postgres --example shop -- postgres://postgres@localhost/shop
//! ```
//!
//! The server makes the queue's tables when it starts.

use slimta::message::{Address, Client, Content, Envelope, Message, MessageId};
use slimta::storage::postgres::enqueue;
use slimta::world::World;
use tokio_postgres::{Client as Database, NoTls};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How many books there are.
const IN_STOCK: i32 = 3;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1);
    let url = url.ok_or("say which database: postgres://USER:PASSWORD@HOST/DATABASE")?;
    let (mut database, connection) = tokio_postgres::connect(&url, NoTls).await?;
    let connection = tokio::spawn(connection);
    database.batch_execute(SCHEMA).await?;
    database
        .execute("INSERT INTO stock VALUES ('a book', $1)", &[&IN_STOCK])
        .await?;
    for count in [2, 2] {
        match order(&mut database, "customer@example.com", "a book", count).await {
            Ok(id) => println!("ordered {count}, the confirmation is message {id}"),
            // The order is not there, and neither is the mail.
            Err(error) => {
                let error = error.source().unwrap_or(&*error);
                println!("could not order {count}, nothing is sent: {error}");
            }
        }
    }
    drop(database);
    Ok(connection.await??)
}

const SCHEMA: &str = "
    CREATE TEMPORARY TABLE stock (item text PRIMARY KEY, count integer CHECK (count >= 0));
    CREATE TEMPORARY TABLE orders (customer text, item text, count integer)";

/// Takes an order; an error on the way rolls all of it back.
async fn order(
    database: &mut Database,
    customer: &str,
    item: &str,
    count: i32,
) -> Result<MessageId, Error> {
    let mut transaction = database.transaction().await?;
    transaction
        .execute(
            "INSERT INTO orders VALUES ($1, $2, $3)",
            &[&customer, &item, &count],
        )
        .await?;
    let id = enqueue(&mut transaction, confirmation(customer, item, count)?).await?;
    // This fails when there are not so many.
    transaction
        .execute(
            "UPDATE stock SET count = count - $2 WHERE item = $1",
            &[&item, &count],
        )
        .await?;
    transaction.commit().await?;
    Ok(id)
}

/// The message, complete: what is queued so is sent as it is.
fn confirmation(customer: &str, item: &str, count: i32) -> Result<Message, Error> {
    let (sender, recipient): (Address, Address) = ("shop@example.com".parse()?, customer.parse()?);
    let now = World::system().now();
    let content = format!(
        "From: {sender}\r\nTo: {recipient}\r\nDate: {}\r\nSubject: Your order\r\n\r\n\
         {count} of {item}. Thank you!\r\n",
        now.rfc5322()
    );
    Ok(Message::new(
        Client::default(),
        Envelope::new(sender.into(), [recipient]),
        Content::new(content),
        now,
    ))
}
