//! A processing-service of its own on the broker of the stack, under another topic prefix and on a database of its own.

use std::sync::Arc;

use anyhow::Result;
use tokio::sync::OnceCell;

use super::super::controls::Action;
use crate::stack::{
    BrokerEngine, CatalogueSource, DatabaseEngine, Engines, Service, Stack, StackConfig,
};

/// KAFKA_TOPIC_PREFIX, and the name of the directory.
const PREFIX: &str = "ways.";
const DIRECTORY: &str = "ways";

/// The companion of a stack; clones are the same one. It is started when it is needed first.
#[derive(Clone, Debug)]
pub(in super::super) struct Companion {
    stack: Arc<OnceCell<Stack>>,
    catalogue: Arc<str>,
}

impl Companion {
    pub(in super::super) fn new(catalogue: Arc<str>) -> Self {
        let stack = Arc::default();
        Self { stack, catalogue }
    }

    /// The companion, started before.
    ///
    /// # Errors
    /// When it cannot be started, for example because the broker is down.
    pub(super) async fn started(&self, main: &Stack) -> Result<&Stack> {
        self.stack.get_or_try_init(|| self.start(main)).await
    }

    async fn start(&self, main: &Stack) -> Result<Stack> {
        let catalogue = CatalogueSource::Text(self.catalogue.to_string());
        let process_order = (
            Service::Processing,
            "PROCESS_ORDER".to_owned(),
            "true".to_owned(),
        );
        let config = StackConfig {
            engines: Engines {
                broker: BrokerEngine::External(main.addresses().kafka.clone()),
                database: DatabaseEngine::Sqlite,
                replicas: 1,
            },
            broker_settings: main.broker_settings(),
            topic_prefix: PREFIX.to_owned(),
            services_are_started: false,
            environment: vec![process_order],
            ..StackConfig::on_free_ports(main.data_dir().join(DIRECTORY), catalogue)
        };
        let stack = Stack::start(config).await?;
        stack.make_topics_and_schemas().await?;
        stack.start_service(Service::Processing).await?;
        Ok(stack)
    }

    /// Does to the companion what is done to processing-service.
    pub(in super::super) async fn apply(&self, action: Action) {
        let Some(stack) = self.stack.get() else {
            return;
        };
        for process in stack.processes(Service::Processing) {
            // The page tells of processing-service itself.
            let _ = match action {
                Action::Stop => {
                    let _ = stack.resume(process).await;
                    stack.stop_process(process).await;
                    Ok(())
                }
                Action::Start => stack.start_process(process).await,
                Action::Kill => stack.kill(process).await,
                Action::Freeze => stack.pause(process).await,
                Action::Resume => stack.resume(process).await,
            };
        }
    }

    /// Stops it, if it was started.
    pub(in super::super) async fn stop(&self) {
        self.apply(Action::Stop).await;
    }
}
