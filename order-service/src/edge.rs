//! Where the outside world ends: requests become values or are refused with every fault named, and every error
//! becomes a status that tells the client what to do and nothing about the inside.

mod place_order;

mod requests;

mod page_token;

mod status;

pub use page_token::{InvalidPageToken, PageToken};
pub use place_order::parse_place_order;
pub use requests::{ListOrders, WatchOrder, parse_list_orders, parse_order_id, parse_watch_order};
pub use status::RpcError;
