//! The segment that appends go to, and what a failed write leaves in it.

use std::path::PathBuf;

use crate::error::Error;
use crate::file_header::{FileIdentity, HEADER_BYTES, Kind};
use crate::fs::File;
use crate::store::Store;

#[derive(Debug)]
pub(crate) struct Segment {
    file: Box<dyn File>,
    path: PathBuf,
    identity: FileIdentity,
    /// Where the last synced frame ends.
    end: u64,
    /// A failed write left bytes after `end`.
    has_debris: bool,
}

impl Segment {
    /// Creates a segment that holds `frames`, synced, and its name too. Nothing refers to it yet; on failure it is
    /// gone, or debris for the next start.
    pub(crate) fn create(store: &Store, identity: FileIdentity, frames: &[u8]) -> Result<Self, Error> {
        let path = store.path(Kind::Log, identity.number);
        let file = store.create(&path)?;
        let mut bytes = identity.encode(Kind::Log).to_vec();
        bytes.extend_from_slice(frames);
        file.write_at(&bytes, 0)
            .map_err(|e| Error::io("write", &path, e))
            .and_then(|()| store.sync_new(&*file, &path))
            .and_then(|()| store.sync_directory())
            .inspect_err(|_| {
                store.discard(&path);
            })?;
        Ok(Self {
            file,
            path,
            identity,
            end: bytes.len() as u64,
            has_debris: false,
        })
    }

    pub(crate) fn identity(&self) -> &FileIdentity {
        &self.identity
    }

    /// Where the last synced frame ends, in bytes from the start of the file.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn has_frames(&self) -> bool {
        self.end > HEADER_BYTES as u64
    }

    /// Writes a frame after the last one. It counts only once [`Self::sync`] returned.
    ///
    /// # Errors
    /// On failure the segment is as before: what the write left is cut off now or, should that fail as well, before
    /// the next write. The cut is not synced (on a full disk that could fail too): if a power cut undoes it, the
    /// next start finds part of a frame, which it cuts, or a whole one that nobody was promised.
    pub(crate) fn write(&mut self, frame: &[u8]) -> Result<(), Error> {
        self.cut_debris()?;
        if let Err(error) = self.file.write_at(frame, self.end) {
            self.has_debris = true;
            // At once, because on a full disk the space is wanted. The first error is the one to report.
            let _ = self.cut_debris();
            return Err(Error::io("write", &self.path, error));
        }
        Ok(())
    }

    /// Makes the frame just written durable. A failure leaves open whether it is, so writes end here.
    pub(crate) fn sync(&mut self, store: &Store, frame_bytes: usize) -> Result<(), Error> {
        self.file
            .sync_data()
            .map_err(|e| store.poison(Error::io("sync", &self.path, e)))?;
        self.end += frame_bytes as u64;
        Ok(())
    }

    fn cut_debris(&mut self) -> Result<(), Error> {
        if self.has_debris {
            self.file
                .set_size(self.end)
                .map_err(|e| Error::io("truncate", &self.path, e))?;
            self.has_debris = false;
        }
        Ok(())
    }
}
