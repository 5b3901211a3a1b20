//! Collections, points, search and the records of what each operation did; synchronous, no network.
