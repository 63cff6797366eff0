//! The reference manager, the router over it and the operator's API, in one process and without a socket.

mod bad_input;
mod example;
mod fleet;
mod management;
mod operator_api;
mod plant;
mod publishing;
