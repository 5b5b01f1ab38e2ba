//! Stand-ins for a schema registry and a data lake: the embedded broker is started without either. Values of
//! [`Registry`] and [`lake::House`] cannot be constructed, so the compiler knows that code using them is unreachable.

use std::convert::Infallible;

use tansu_sans_io::ErrorCode;
use tansu_sans_io::record::inflated::Batch;
use thiserror::Error as ThisError;

/// The error of a registry or a lake.
#[derive(Debug, ThisError)]
#[error("{self:?}")]
pub enum Error {
    /// The error code for the client.
    Api(ErrorCode),
}

/// The result of a registry or a lake.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A registry; no value of it exists.
#[derive(Clone, Debug)]
pub struct Registry(Infallible);

impl Registry {
    /// Checks records against the schema of their topic.
    ///
    /// # Errors
    /// None.
    #[expect(clippy::unused_async, reason = "same signature as in the library")]
    pub async fn validate(&self, _topic: &str, _batch: &Batch) -> Result<()> {
        match self.0 {}
    }
}

pub mod lake {
    //! The lake.

    use std::convert::Infallible;
    use std::fmt::Debug;

    use async_trait::async_trait;
    use tansu_sans_io::describe_configs_response::DescribeConfigsResult;
    use tansu_sans_io::record::inflated::Batch;

    use super::Result;

    /// A lake; no value of it exists.
    #[derive(Clone, Debug)]
    pub struct House(Infallible);

    /// The operations of a lake.
    #[async_trait]
    pub trait LakeHouse: Clone + Debug + Send + Sync + 'static {
        /// Stores records.
        async fn store(
            &self,
            topic: &str,
            partition: i32,
            offset: i64,
            inflated: &Batch,
            config: DescribeConfigsResult,
        ) -> Result<()>;

        /// Maintains the stored data.
        async fn maintain(&self) -> Result<()>;
    }

    #[async_trait]
    impl LakeHouse for House {
        async fn store(
            &self,
            _topic: &str,
            _partition: i32,
            _offset: i64,
            _inflated: &Batch,
            _config: DescribeConfigsResult,
        ) -> Result<()> {
            match self.0 {}
        }

        async fn maintain(&self) -> Result<()> {
            match self.0 {}
        }
    }
}
