//! A file system in memory that knows what of it is on the disk and what a loss of power may still undo.
//!
//! As POSIX has it: the content of a file is safe once the file was flushed, a name once its folder was; until then any
//! part of what was done may be there after a loss of power, in any order, but a renaming is there as a whole or not at
//! all.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kiln_storage::{Files, Kind, OpenFile, ReadFile};

use kiln_data::batches::mix;

/// What a loss of power takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Everything that was not flushed.
    All,
    /// Nothing.
    None,
    /// Any part of it, drawn from a seed.
    Some(u64),
    /// The last 512 bytes, by which disks count, of each writing that was not flushed.
    LastBlocks,
    /// The content that was not flushed, but no name.
    Content,
}

type Names = BTreeMap<OsString, usize>;

#[derive(Clone)]
enum NameChange {
    Put(OsString, usize),
    Remove(OsString),
    Rename(OsString, OsString, usize),
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Put(name, node) => _ = names.insert(name.clone(), *node),
            Self::Remove(name) => _ = names.remove(name),
            Self::Rename(from, to, node) => {
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
        }
    }
}

#[derive(Clone)]
enum ContentChange {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl ContentChange {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(start, bytes) => {
                let end = start + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*start..end].copy_from_slice(bytes);
            }
            Self::Cut(length) => content.truncate(*length),
        }
    }
}

/// A file or folder: how it is on the disk, what was done since, and how it looks.
#[derive(Clone)]
enum Node {
    Folder { durable: Names, pending: Vec<NameChange>, names: Names },
    File { durable: Arc<Vec<u8>>, pending: Vec<ContentChange>, content: Arc<Vec<u8>> },
}

impl Node {
    fn folder() -> Self {
        Self::Folder { durable: Names::new(), pending: Vec::new(), names: Names::new() }
    }
}

/// The state of the file system at a moment.
#[derive(Clone)]
pub(super) struct Disk {
    /// The root comes first.
    nodes: Vec<Node>,
}

/// What the folders and files are after a loss of power, folders before what is in them; no content is a folder.
pub(super) type Image = Vec<(PathBuf, Option<Vec<u8>>)>;

impl Disk {
    /// What is there when the power comes back.
    pub(super) fn after(&self, loss: Loss) -> Image {
        let mut image = Vec::new();
        let mut draws = 0;
        self.collect(0, Path::new(""), loss, &mut draws, &mut image);
        image
    }

    fn collect(&self, node: usize, path: &Path, loss: Loss, draws: &mut u64, image: &mut Image) {
        let mut stays = |loss: Loss| match loss {
            Loss::Some(seed) => {
                *draws += 1;
                mix(seed, *draws).is_multiple_of(2)
            }
            other => other != Loss::All,
        };
        match &self.nodes[node] {
            Node::Folder { durable, pending, .. } => {
                let mut names = durable.clone();
                pending.iter().filter(|_| stays(loss)).for_each(|change| change.apply(&mut names));
                image.push((path.to_path_buf(), None));
                for (name, node) in names {
                    self.collect(node, &path.join(name), loss, draws, image);
                }
            }
            Node::File { durable, pending, .. } => {
                let mut content = durable.to_vec();
                for change in pending.iter().filter(|_| loss != Loss::Content && stays(loss)) {
                    change.apply(&mut content);
                    if let (Loss::LastBlocks, ContentChange::Write(start, bytes)) = (loss, change) {
                        let end = start + bytes.len();
                        content[(end.saturating_sub(1) / 512 * 512).max(*start)..end].fill(0);
                    }
                }
                image.push((path.to_path_buf(), Some(content)));
            }
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut node = 0;
        for part in path.components().filter(|part| *part != Component::RootDir) {
            let Node::Folder { names, .. } = &self.nodes[node] else { return Err(ErrorKind::NotADirectory.into()) };
            node = *names.get(part.as_os_str()).ok_or(ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    /// Does something to the names of the folder above `path`.
    fn change(&mut self, path: &Path, change: impl FnOnce(OsString) -> NameChange) -> io::Result<()> {
        let above = self.find(path.parent().unwrap_or(Path::new("")))?;
        let Node::Folder { pending, names, .. } = &mut self.nodes[above] else {
            return Err(ErrorKind::NotADirectory.into());
        };
        let change = change(path.file_name().unwrap_or_default().to_owned());
        change.apply(names);
        pending.push(change);
        Ok(())
    }

    fn is_full_folder(&self, node: usize) -> bool {
        matches!(&self.nodes[node], Node::Folder { names, .. } if !names.is_empty())
    }
}

/// Makes an image real, in a folder that is there.
pub(super) fn restore(image: &Image, folder: &Path) {
    for (path, content) in image {
        let path = folder.join(path);
        match content {
            None => fs::create_dir_all(path).unwrap(),
            Some(content) => fs::write(path, content).unwrap(),
        }
    }
}

/// The file system. Its clones are the same one.
#[derive(Clone)]
pub(super) struct MemoryFiles(Arc<Mutex<State>>);

struct State {
    disk: Disk,
    /// The disk after every call that changed something, with the mark that was set at that moment.
    history: Vec<(&'static str, u64, Disk)>,
    mark: u64,
}

impl MemoryFiles {
    pub(super) fn new() -> Self {
        let disk = Disk { nodes: vec![Node::folder()] };
        Self(Arc::new(Mutex::new(State { disk, history: Vec::new(), mark: 0 })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every moment from now on is remembered with this mark.
    pub(super) fn mark(&self, mark: u64) {
        self.state().mark = mark;
    }

    /// What was remembered: the call, the mark at that moment, and the disk after it.
    pub(super) fn take_history(&self) -> Vec<(&'static str, u64, Disk)> {
        std::mem::take(&mut self.state().history)
    }

    /// Changes the content of a file behind everybody's back.
    pub(super) fn damage(&self, path: &Path, damage: impl FnOnce(&mut Vec<u8>)) {
        let disk = &mut self.state().disk;
        let node = disk.find(path).unwrap();
        let Node::File { content, .. } = &mut disk.nodes[node] else { panic!("{} is a folder", path.display()) };
        damage(Arc::make_mut(content));
    }

    /// The content of a file.
    pub(super) fn content(&self, path: &Path) -> Vec<u8> {
        let disk = &self.state().disk;
        let Node::File { content, .. } = &disk.nodes[disk.find(path).unwrap()] else { panic!("it is a folder") };
        content.to_vec()
    }

    fn change<T>(&self, name: &'static str, change: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        let changed = change(&mut state.disk)?;
        let moment = (name, state.mark, state.disk.clone());
        state.history.push(moment);
        Ok(changed)
    }

    fn opened(&self, node: usize) -> Box<dyn OpenFile> {
        Box::new(MemoryFile { files: self.clone(), node })
    }
}

impl Files for MemoryFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.change("create folder", |disk| {
            if disk.find(path).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            let node = disk.nodes.len();
            disk.change(path, |name| NameChange::Put(name, node))?;
            disk.nodes.push(Node::folder());
            Ok(())
        })
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let file = self.append_to(path)?;
        file.cut(0)?;
        Ok(file)
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        if let Ok(node) = self.state().disk.find(path) {
            return Ok(self.opened(node));
        }
        let node = self.change("create file", |disk| {
            let node = disk.nodes.len();
            disk.change(path, |name| NameChange::Put(name, node))?;
            disk.nodes.push(Node::File { durable: Arc::default(), pending: Vec::new(), content: Arc::default() });
            Ok(node)
        })?;
        Ok(self.opened(node))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Box<dyn ReadFile>>> {
        let disk = &self.state().disk;
        match &disk.nodes[disk.find(path)?] {
            Node::Folder { .. } => Ok(None),
            Node::File { content, .. } => Ok(Some(Box::new(Content(Arc::clone(content), 0)))),
        }
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let disk = &self.state().disk;
        Ok(match &disk.nodes[disk.find(path)?] {
            Node::Folder { .. } => Kind::Folder,
            Node::File { content, .. } => Kind::File { bytes: content.len() as u64 },
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let disk = &self.state().disk;
        match &disk.nodes[disk.find(folder)?] {
            Node::Folder { names, .. } => Ok(names.keys().map(|name| folder.join(name)).collect()),
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change("rename", |disk| {
            assert_eq!(from.parent(), to.parent(), "what is renamed stays in its folder");
            let node = disk.find(from)?;
            if disk.find(to).is_ok_and(|replaced| disk.is_full_folder(replaced)) {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            let from = from.file_name().unwrap_or_default().to_owned();
            disk.change(to, |to| NameChange::Rename(from, to, node))
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change("remove file", |disk| {
            disk.find(path)?;
            disk.change(path, NameChange::Remove)
        })
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.change("remove folder", |disk| {
            if disk.is_full_folder(disk.find(path)?) {
                return Err(ErrorKind::DirectoryNotEmpty.into());
            }
            disk.change(path, NameChange::Remove)
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.change("sync folder", |disk| {
            let node = disk.find(path)?;
            if let Node::Folder { durable, pending, names } = &mut disk.nodes[node] {
                durable.clone_from(names);
                pending.clear();
            }
            Ok(())
        })
    }
}

struct MemoryFile {
    files: MemoryFiles,
    node: usize,
}

impl MemoryFile {
    fn change(
        &self,
        name: &'static str,
        change: impl FnOnce(&mut Arc<Vec<u8>>, &mut Vec<ContentChange>, &mut Arc<Vec<u8>>),
    ) -> io::Result<()> {
        self.files.change(name, |disk| {
            if let Node::File { durable, pending, content } = &mut disk.nodes[self.node] {
                change(durable, pending, content);
            }
            Ok(())
        })
    }

    fn note(&self, name: &'static str, done: impl FnOnce(usize) -> ContentChange) -> io::Result<()> {
        self.change(name, |_, pending, content| {
            let done = done(content.len());
            done.apply(Arc::make_mut(content));
            pending.push(done);
        })
    }
}

impl OpenFile for MemoryFile {
    /// Writes at the end, which is where saving writes always.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.note("write", |end| ContentChange::Write(end, bytes.to_vec()))?;
        Ok(bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.change("sync", |durable, pending, content| {
            durable.clone_from(content);
            pending.clear();
        })
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.note("cut", |_| ContentChange::Cut(length as usize))
    }

    fn reader(&self) -> io::Result<Box<dyn Read>> {
        match &self.files.state().disk.nodes[self.node] {
            Node::File { content, .. } => Ok(Box::new(Content(Arc::clone(content), 0))),
            Node::Folder { .. } => Err(ErrorKind::IsADirectory.into()),
        }
    }
}

/// A content that is read, and how far.
struct Content(Arc<Vec<u8>>, usize);

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = (&self.0[self.1.min(self.0.len())..]).read(buffer)?;
        self.1 += taken;
        Ok(taken)
    }
}

impl Seek for Content {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.1 = match to {
            SeekFrom::Start(place) => place as usize,
            _ => return Err(ErrorKind::Unsupported.into()),
        };
        Ok(self.1 as u64)
    }
}
