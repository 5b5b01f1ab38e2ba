//! The library's group coordinator, with one repair.
//!
//! A follower of a group sends SyncGroup without assignments and waits for the leader's. When the leader is dead and the
//! library has just given it up, the library takes the follower's empty list for the leader's word: the group forms with
//! no assignments, and nobody gets a partition any more. Whether that or a JoinGroup comes first is a race, so roughly
//! every second kill of a consumer met it. A list that is empty is therefore passed on as none at all, which the library
//! answers with REBALANCE_IN_PROGRESS: the follower joins again and becomes the leader.

use async_trait::async_trait;
use tansu_broker::Result;
use tansu_broker::coordinator::group::{Coordinator, OffsetCommit};
use tansu_sans_io::Body;
use tansu_sans_io::join_group_request::JoinGroupRequestProtocol;
use tansu_sans_io::leave_group_request::MemberIdentity;
use tansu_sans_io::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use tansu_sans_io::sync_group_request::SyncGroupRequestAssignment;

/// A coordinator whose groups do not form without assignments.
#[derive(Clone, Debug)]
pub(crate) struct Groups<C>(pub(crate) C);

#[async_trait]
impl<C: Coordinator> Coordinator for Groups<C> {
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
        self.0
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
        self.0
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
        self.0
            .heartbeat(group_id, generation_id, member_id, group_instance_id)
            .await
    }

    async fn leave(
        &mut self,
        group_id: &str,
        member_id: Option<&str>,
        members: Option<&[MemberIdentity]>,
    ) -> Result<Body> {
        self.0.leave(group_id, member_id, members).await
    }

    async fn offset_commit(&mut self, detail: OffsetCommit<'_>) -> Result<Body> {
        self.0.offset_commit(detail).await
    }

    async fn offset_fetch(
        &mut self,
        group_id: Option<&str>,
        topics: Option<&[OffsetFetchRequestTopic]>,
        groups: Option<&[OffsetFetchRequestGroup]>,
        require_stable: Option<bool>,
    ) -> Result<Body> {
        self.0
            .offset_fetch(group_id, topics, groups, require_stable)
            .await
    }
}
