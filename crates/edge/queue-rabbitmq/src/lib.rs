//! The queue port on RabbitMQ: topology, delay ladder, confirms, consumers
