//! The configuration as each part wants it: every edge owns the settings it takes.

use super::{Config, Http};
use ringback_queue_rabbitmq::RabbitConfig;
use ringback_sender_http::{AddressPolicy, HttpConfig, UrlPolicy};
use ringback_store_redis::RedisStoreSettings;
use secrecy::SecretString;
use std::{io, path::Path};

impl Config {
    /// How the queue uses RabbitMQ.
    pub fn rabbit_config(&self) -> RabbitConfig {
        RabbitConfig {
            prefix: self.prefix.clone(),
            delivery_limit: self.rabbitmq.delivery_limit,
            confirm_timeout: self.rabbitmq.confirm_timeout,
            ca_file: self.rabbitmq.ca_file.clone(),
            declare: self.rabbitmq.declare,
            ..RabbitConfig::default()
        }
    }

    /// How the store uses the Redis at this URL.
    ///
    /// # Errors
    ///
    /// When the file with certificate authorities cannot be read.
    pub fn redis_settings(&self, url: &SecretString) -> io::Result<RedisStoreSettings> {
        Ok(RedisStoreSettings {
            prefix: self.prefix.as_str().to_owned(),
            idempotency_window: self.idempotency.window,
            dead_letter_retention: self.dead_letters.retention,
            log_entries_max: self.deliveries.entries_max,
            root_certificates: read_optional(self.redis.ca_file.as_deref())?,
            wait_aof: self.redis.wait_aof,
            ..RedisStoreSettings::at(url.clone())
        })
    }

    /// How much the embedded queue and store keep.
    pub fn embedded_settings(&self) -> ringback_embedded::Settings {
        ringback_embedded::Settings {
            delivery_limit: self.rabbitmq.delivery_limit.get().into(),
            idempotency_window: self.idempotency.window,
            deliveries_max: self.deliveries.entries_max,
            dead_letter_retention: self.dead_letters.retention,
            ..ringback_embedded::Settings::default()
        }
    }

    /// How requests are sent.
    ///
    /// # Errors
    ///
    /// When the file with certificate authorities cannot be read.
    pub fn http_config(&self) -> io::Result<HttpConfig> {
        Ok(HttpConfig {
            urls: self.http.url_policy(),
            connect_timeout: self.http.connect_timeout,
            lookup_timeout: HttpConfig::default()
                .lookup_timeout
                .min(self.http.connect_timeout),
            response_body_max: self.http.response_body_max,
            proxy: self.http.proxy.as_ref().map(|proxy| proxy.url().clone()),
            authorities_pem: read_optional(self.http.ca_file.as_deref())?,
        })
    }
}

impl Http {
    /// Which URLs may be destinations.
    pub fn url_policy(&self) -> UrlPolicy {
        UrlPolicy {
            addresses: AddressPolicy::new(self.allow_networks.clone(), self.deny_networks.clone()),
            https_only: self.require_https,
        }
    }
}

fn read_optional(file: Option<&Path>) -> io::Result<Option<Vec<u8>>> {
    file.map(std::fs::read).transpose()
}
