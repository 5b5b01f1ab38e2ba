//! A schema registry and a data lake that there are none of: the embedded broker is started without either.
//!
//! A value of [`Registry`] or [`lake::House`] cannot be made, so the compiler knows that what uses one is not reached.

use std::convert::Infallible;

use tansu_sans_io::ErrorCode;
use tansu_sans_io::record::inflated::Batch;
use thiserror::Error as ThisError;

/// Why a registry or a lake fails.
#[derive(Debug, ThisError)]
#[error("{self:?}")]
pub enum Error {
    /// What to answer the client.
    Api(ErrorCode),
}

/// What a registry or a lake answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A registry; there is none.
#[derive(Clone, Debug)]
pub struct Registry(Infallible);

impl Registry {
    /// Checks records against the schema of their topic.
    ///
    /// # Errors
    /// None.
    #[expect(clippy::unused_async, reason = "as the library declares it")]
    pub async fn validate(&self, _topic: &str, _batch: &Batch) -> Result<()> {
        match self.0 {}
    }
}

pub mod lake {
    //! The lake, and what the library does with one.

    use std::convert::Infallible;
    use std::fmt::Debug;

    use async_trait::async_trait;
    use tansu_sans_io::describe_configs_response::DescribeConfigsResult;
    use tansu_sans_io::record::inflated::Batch;

    use super::Result;

    /// A lake; there is none.
    #[derive(Clone, Debug)]
    pub struct House(Infallible);

    /// What a lake does.
    #[async_trait]
    pub trait LakeHouse: Clone + Debug + Send + Sync + 'static {
        /// Keeps records.
        async fn store(
            &self,
            topic: &str,
            partition: i32,
            offset: i64,
            inflated: &Batch,
            config: DescribeConfigsResult,
        ) -> Result<()>;

        /// Looks after what is kept.
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
