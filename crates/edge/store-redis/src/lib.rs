//! The store ports on Redis: claims, webhooks, deliveries, dead letters
