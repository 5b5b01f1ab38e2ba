//! The library's group coordinator, with two repairs.
//!
//! **Groups without assignments.** A follower of a group sends SyncGroup without assignments and waits for the leader's. When the leader is dead and the
//! library has just given it up, the library takes the follower's empty list for the leader's word: the group forms with
//! no assignments, and nobody gets a partition any more. Whether that or a JoinGroup comes first is a race, so roughly
//! every second kill of a consumer met it. A list that is empty is therefore passed on as none at all, which the library
//! answers with REBALANCE_IN_PROGRESS: the follower joins again and becomes the leader.
//!
//! **Leaders that are gone.** A leader that leaves while its group forms is forgotten as a member and remembered as the
//! leader: everybody who joins is told to follow it, without end. A coordinator that reads the group from the file drops
//! such a leader. So a member that is told to follow another member is asked to join once more through one that has read nothing
//! yet, which changes nothing where that member exists.

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

/// Whether a member is told to follow another one.
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
