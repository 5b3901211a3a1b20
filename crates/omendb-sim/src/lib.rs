//! A simulated disk and clock for tests: tears, delays, fails and fills on demand, from one seed.
