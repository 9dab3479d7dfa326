//! PostgreSQL against what every backend must do.

use archive::History;
use archive::conformance::Subject;
use archive_postgres::{PostgresHistory, Settings};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use archive_postgres::testing::{Database, Server};

struct Postgres {
    history: PostgresHistory,
    database: Database<'static>,
}

impl Subject for Postgres {
    fn history(&self) -> &dyn History {
        &self.history
    }

    fn reopen(&mut self, clean: bool) -> BoxFuture<'_, ()> {
        async move {
            if clean {
                self.history.close().await.unwrap();
            }
            self.history = PostgresHistory::new(&self.database.uri(), &Settings::default()).unwrap();
            // What memory knows of a database without asking, like the floor, is there once it is open.
            self.history.open().await.unwrap();
        }
        .boxed()
    }
}

fn postgres() -> Postgres {
    let database = Server::shared().database();
    Postgres { history: PostgresHistory::new(&database.uri(), &Settings::default()).unwrap(), database }
}

archive::conformance_tests!(postgres());
