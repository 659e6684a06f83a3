//! Tensors copied from their device to the host.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{ExecutionError, Tensor, TensorData, Transaction};

use crate::catalogue::Parameter;
use crate::path::ModulePath;

/// Named tensors, in groups, that are copied to the host all at once.
///
/// On a GPU `Tensor::to_data` only promises the numbers: they are fetched at the first access, and an update that came
/// in between has written the same buffer in place. A transaction fetches the numbers of all its tensors before it
/// returns, in one round trip, and returns what the device reports as an error.
pub struct HostCopy<G> {
    transaction: Transaction,
    /// What is in the transaction, in its order.
    requested: Vec<(G, String)>,
    /// What was on the host before.
    known: Vec<(G, String, TensorData)>,
}

/// The tensors of each group by name; a group without a tensor has no entry.
pub type HostTensors<G> = BTreeMap<G, BTreeMap<String, TensorData>>;

impl<G> Default for HostCopy<G> {
    fn default() -> Self {
        Self { transaction: Transaction::default(), requested: Vec::new(), known: Vec::new() }
    }
}

impl<G: Copy + Ord> HostCopy<G> {
    /// Requests a tensor, with or without autodiff.
    pub fn add<const D: usize>(&mut self, group: G, name: String, tensor: Tensor<D>) {
        self.transaction = std::mem::take(&mut self.transaction).register(tensor.inner());
        self.requested.push((group, name));
    }

    /// Adds what is on the host already.
    pub fn add_data(&mut self, group: G, name: String, data: TensorData) {
        self.known.push((group, name, data));
    }

    /// Requests every parameter of a module, named by its path.
    pub fn add_parameters<M: Module>(&mut self, group: G, module: &M) {
        self.add_parameters_that(group, module, |_| true);
    }

    /// Requests those parameters of a module that are wanted.
    pub fn add_parameters_that<M: Module>(&mut self, group: G, module: &M, is_wanted: impl FnMut(&Parameter) -> bool) {
        module.visit(&mut Requester { copy: self, group, path: ModulePath::default(), is_wanted });
    }

    /// Copies all of it, before it returns.
    ///
    /// # Errors
    /// What the device reports, of this or of anything since it was last waited for.
    pub fn read(self) -> Result<HostTensors<G>, ExecutionError> {
        let read = self.transaction.try_execute()?;
        let read = self.requested.into_iter().zip(read).map(|((group, name), data)| (group, name, data));
        let mut groups = HostTensors::new();
        for (group, name, data) in read.chain(self.known) {
            groups.entry(group).or_default().insert(name, data);
        }
        Ok(groups)
    }
}

struct Requester<'a, G, F> {
    copy: &'a mut HostCopy<G>,
    group: G,
    path: ModulePath,
    is_wanted: F,
}

impl<G: Copy + Ord, F: FnMut(&Parameter) -> bool> ModuleVisitor for Requester<'_, G, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if (self.is_wanted)(&Parameter::new(&self.path, param)) {
            self.copy.add(self.group, self.path.joined(), param.val());
        }
    }
}
