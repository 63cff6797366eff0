#![no_main]

margo_fuzz::target!(message);
