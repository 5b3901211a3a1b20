//! Metric cells, histograms, families, snapshots and their exposition: what a measurement is and how it leaves the process.
