#![no_main]

margo_fuzz::target!(trust_bundle);
