#![no_main]

margo_fuzz::target!(spiffe_id);
