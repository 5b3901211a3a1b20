//! Vector distance kernels, one set per instruction set, chosen once.
