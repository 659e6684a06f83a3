//! The file operations that saving consists of, one call on the system each, so that a test can let any of them fail,
//! or stop the world after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use kiln_settings::files::{Links, open_regular};

/// A file system, as far as saving needs one. No operation is tried again by itself, and none does more than it says.
pub trait Files: Send + Sync {
    /// Makes one folder, in one that is there.
    ///
    /// # Errors
    /// What the system says; also where something has that name.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes an empty file, or empties the one that is there.
    ///
    /// # Errors
    /// What the system says.
    fn create_file(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// Opens a file that every writing makes longer; makes it where there is none.
    ///
    /// # Errors
    /// What the system says; also where something else than a regular file is there.
    fn append_to(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// Opens a file for reading; `None` where something else than a regular file is there, a link for instance.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path) -> io::Result<Option<Box<dyn ReadFile>>>;

    /// What has this name. Links are not followed.
    ///
    /// # Errors
    /// What the system says; also where nothing has it.
    fn kind(&self, path: &Path) -> io::Result<Kind>;

    /// Everything in a folder, in no order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Gives a file or a folder another name in the same folder, in the place of a file that had it.
    ///
    /// # Errors
    /// What the system says; also where a folder that is not empty has the name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// What the system says.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Flushes the names in a folder to the disk: until then, a loss of power may undo what was made, renamed or
    /// removed there.
    ///
    /// # Errors
    /// What the system says.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is open for reading.
pub trait ReadFile: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadFile for T {}

/// A file that is open for writing.
pub trait OpenFile: Send + Sync {
    /// Writes some of the bytes, and says how many.
    ///
    /// # Errors
    /// What the system says.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Flushes the content to the disk: until then, a loss of power may undo any part of what was written.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;

    /// Cuts off what is behind the first `length` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn cut(&self, length: u64) -> io::Result<()>;

    /// The content from its start.
    ///
    /// # Errors
    /// What the system says; also for a file that was not opened by [`Files::append_to`].
    fn reader(&self) -> io::Result<Box<dyn Read>>;
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of this length.
    File {
        /// Its length.
        bytes: u64,
    },
    /// A folder.
    Folder,
    /// A symbolic link, wherever it leads.
    Link,
    /// A device, a pipe.
    Other,
}

/// The disk.
#[derive(Debug, Clone, Copy)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        // Asked first: a pipe would be waited for without end, and through a link another file would be cut.
        match open_regular(path, Links::Refused) {
            Ok(Some(_)) => {}
            Ok(None) => return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Box::new(OpenOptions::new().create(true).read(true).append(true).open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Box<dyn ReadFile>>> {
        Ok(open_regular(path, Links::Refused)?.map(|file| Box::new(file) as Box<dyn ReadFile>))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(if metadata.is_file() {
            Kind::File { bytes: metadata.len() }
        } else if metadata.is_dir() {
            Kind::Folder
        } else if metadata.is_symlink() {
            Kind::Link
        } else {
            Kind::Other
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        // Only Unix lets a folder be opened for that; elsewhere the renaming is what there is.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }
}

impl OpenFile for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut &*self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn reader(&self) -> io::Result<Box<dyn Read>> {
        let mut file = self.try_clone()?;
        file.rewind()?;
        Ok(Box::new(file))
    }
}

/// Lets an open file be written in the ways of the standard library: its `write_all` writes on after a short writing
/// and one that a signal interrupted.
pub struct Writer<'a>(pub &'a dyn OpenFile);

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// Nothing is held back here.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
