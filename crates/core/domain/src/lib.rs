//! Events, webhooks, deliveries, attempts, dead letters, and the rules among them
