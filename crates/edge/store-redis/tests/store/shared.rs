//! The contract, on the server all tests share.

use crate::{settings, store};
use ringback_store_redis::RedisStore;
use ringback_testkit::servers::shared_redis_url;

ringback_testkit::store_contract!(open);

#[expect(
    clippy::unused_async,
    reason = "the contract opens stores that do wait"
)]
async fn open() -> (RedisStore, ()) {
    (store(settings(&shared_redis_url())), ())
}
