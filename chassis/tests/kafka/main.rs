//! The relay and the consumer on librdkafka's mock cluster: a broker in this process that can be told to misbehave.

mod consumer;
mod relay;
mod support;
