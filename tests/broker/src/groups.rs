//! The library's group coordinator, with two repairs.
//!
//! **Groups without assignments.** A follower of a group sends SyncGroup without assignments and waits for the
//! leader's. When the leader is dead and the library has just removed it, the library takes the follower's empty list
//! for the leader's: the group forms with no assignments, and no member gets a partition any more. Whether that
//! SyncGroup or a JoinGroup arrives first is a race, which about every second kill of a consumer lost. An empty list is
//! therefore passed on as no list, which the library answers with REBALANCE_IN_PROGRESS: the follower joins again and
//! becomes the leader.
//!
//! **Dead leaders.** A leader that leaves while its group forms is removed as a member but kept as the leader: every
//! joining member becomes its follower, forever. A coordinator that reads the group from the file drops such a leader.
//! So a member that would follow another one joins once more through a coordinator without cached state, which changes
//! nothing if the leader exists.

use async_trait::async_trait;
use tansu_broker::Result;
use tansu_broker::coordinator::group::administrator::Controller;
use tansu_broker::coordinator::group::{Coordinator, OffsetCommit};
use tansu_sans_io::Body;
use tansu_sans_io::join_group_request::JoinGroupRequestProtocol;
use tansu_sans_io::leave_group_request::MemberIdentity;
use tansu_sans_io::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use tansu_sans_io::sync_group_request::SyncGroupRequestAssignment;
use tansu_sans_io::{ErrorCode, join_group_response::JoinGroupResponse};
use tansu_storage::Storage;

/// A coordinator whose groups form with assignments, and under a live leader.
#[derive(Clone, Debug)]
pub(crate) struct Groups<S> {
    controller: Controller<S>,
    storage: S,
}

impl<S: Storage> Groups<S> {
    pub(crate) fn with_storage(storage: S) -> Result<Self> {
        Ok(Self {
            controller: Controller::with_storage(storage.clone())?,
            storage,
        })
    }
}

/// Whether a member becomes a follower.
fn follows_another(answer: &Body) -> bool {
    let Body::JoinGroupResponse(JoinGroupResponse {
        error_code,
        leader,
        member_id,
        ..
    }) = answer
    else {
        return false;
    };
    *error_code == i16::from(ErrorCode::None) && leader != member_id
}

#[async_trait]
impl<S: Storage> Coordinator for Groups<S> {
    async fn join(
        &mut self,
        client_id: Option<&str>,
        group_id: &str,
        session_timeout_ms: i32,
        rebalance_timeout_ms: Option<i32>,
        member_id: &str,
        group_instance_id: Option<&str>,
        protocol_type: &str,
        protocols: Option<&[JoinGroupRequestProtocol]>,
        reason: Option<&str>,
    ) -> Result<Body> {
        let join = async |controller: &mut Controller<S>| {
            controller
                .join(
                    client_id,
                    group_id,
                    session_timeout_ms,
                    rebalance_timeout_ms,
                    member_id,
                    group_instance_id,
                    protocol_type,
                    protocols,
                    reason,
                )
                .await
        };
        let answer = join(&mut self.controller).await?;
        if !follows_another(&answer) {
            return Ok(answer);
        }
        join(&mut Controller::with_storage(self.storage.clone())?).await
    }

    async fn sync(
        &mut self,
        group_id: &str,
        generation_id: i32,
        member_id: &str,
        group_instance_id: Option<&str>,
        protocol_type: Option<&str>,
        protocol_name: Option<&str>,
        assignments: Option<&[SyncGroupRequestAssignment]>,
    ) -> Result<Body> {
        self.controller
            .sync(
                group_id,
                generation_id,
                member_id,
                group_instance_id,
                protocol_type,
                protocol_name,
                assignments.filter(|assignments| !assignments.is_empty()),
            )
            .await
    }

    async fn heartbeat(
        &mut self,
        group_id: &str,
        generation_id: i32,
        member_id: &str,
        group_instance_id: Option<&str>,
    ) -> Result<Body> {
        self.controller
            .heartbeat(group_id, generation_id, member_id, group_instance_id)
            .await
    }

    async fn leave(
        &mut self,
        group_id: &str,
        member_id: Option<&str>,
        members: Option<&[MemberIdentity]>,
    ) -> Result<Body> {
        self.controller.leave(group_id, member_id, members).await
    }

    async fn offset_commit(&mut self, detail: OffsetCommit<'_>) -> Result<Body> {
        self.controller.offset_commit(detail).await
    }

    async fn offset_fetch(
        &mut self,
        group_id: Option<&str>,
        topics: Option<&[OffsetFetchRequestTopic]>,
        groups: Option<&[OffsetFetchRequestGroup]>,
        require_stable: Option<bool>,
    ) -> Result<Body> {
        self.controller
            .offset_fetch(group_id, topics, groups, require_stable)
            .await
    }
}

#[cfg(test)]
mod tests;
