//! The methods and subscriptions that exist, what each one takes, and who may call it.
//!
//! The methods themselves are in a jsonrpsee registry. Beside each one stands a [`Spec`], from which arguments are
//! checked, privileges are told and `rpc_discover` is written. Facts: `spec/operations.md` §2.1.

use std::{collections::BTreeMap, sync::Arc};

use futures::{future::BoxFuture, stream::BoxStream};
use json_rpc::Args;
pub(super) use json_rpc::{Kind, Param};
use jsonrpsee::{
    MethodCallback, Methods, RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde::Serialize;
use serde_json::value::RawValue;

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Whoever reaches the listener.
    Open,
    /// It changes the node, spends its resources or shows a secret: only with the token, once one is configured.
    Privileged,
}

/// A method.
#[derive(Debug)]
pub(super) struct Spec {
    /// With its namespace, `admin_peers`.
    pub(super) name: &'static str,
    pub(super) access: Access,
    /// One sentence for people.
    pub(super) summary: &'static str,
    /// Optional ones last.
    pub(super) params: &'static [Param],
    pub(super) result: Kind,
}

/// What a subscription yields.
pub(super) type Items = BoxStream<'static, Box<RawValue>>;
type Start = Arc<dyn Fn(Args) -> Result<Items, ErrorObjectOwned> + Send + Sync>;

/// Something to subscribe to: `<namespace>_subscribe` with `name` as the first parameter, `params` behind it.
pub(super) struct Subscription {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) access: Access,
    pub(super) params: &'static [Param],
    start: Start,
}

impl Subscription {
    /// Begins one, with the arguments behind the name.
    pub(super) fn start(&self, args: Args) -> Result<Items, ErrorObjectOwned> {
        (self.start)(args)
    }
}

/// All that can be called over one transport.
pub(super) struct Registry {
    methods: Methods,
    specs: BTreeMap<&'static str, &'static Spec>,
    subscriptions: Vec<Subscription>,
    privileged: bool,
}

type Registered = Result<(), RegisterMethodError>;

impl Registry {
    /// An empty registry. Without `privileged` such methods do not exist in it.
    pub(super) fn new(privileged: bool) -> Self {
        Self { methods: Methods::new(), specs: BTreeMap::new(), subscriptions: Vec::new(), privileged }
    }

    fn hides(&self, access: Access) -> bool {
        access == Access::Privileged && !self.privileged
    }

    /// Adds a method that answers at once.
    pub(super) fn method<R: Serialize + Clone + 'static>(
        &mut self,
        spec: &'static Spec,
        call: impl Fn(&Args) -> Result<R, ErrorObjectOwned> + Send + Sync + 'static,
    ) -> Registered {
        if self.hides(spec.access) {
            return Ok(());
        }
        let mut module = RpcModule::new(());
        module.register_method(spec.name, move |params: Params<'_>, (), _| {
            call(&Args::read(params.as_str(), spec.params)?)
        })?;
        self.add(spec, module)
    }

    /// Adds a method that waits for something.
    pub(super) fn async_method<R: Serialize + Clone + Send + 'static>(
        &mut self,
        spec: &'static Spec,
        call: impl Fn(Args) -> BoxFuture<'static, Result<R, ErrorObjectOwned>> + Send + Sync + 'static,
    ) -> Registered {
        if self.hides(spec.access) {
            return Ok(());
        }
        let call = Arc::new(call);
        let mut module = RpcModule::new(());
        module.register_async_method(spec.name, move |params, _, _| {
            let call = Arc::clone(&call);
            async move { call(Args::read(params.as_str(), spec.params)?).await }
        })?;
        self.add(spec, module)
    }

    fn add(&mut self, spec: &'static Spec, module: RpcModule<()>) -> Registered {
        self.methods.merge(module)?;
        self.specs.insert(spec.name, spec);
        Ok(())
    }

    /// Adds a subscription of `namespace`.
    pub(super) fn subscription(
        &mut self,
        namespace: &'static str,
        name: &'static str,
        access: Access,
        params: &'static [Param],
        start: impl Fn(Args) -> Result<Items, ErrorObjectOwned> + Send + Sync + 'static,
    ) {
        if !self.hides(access) {
            let subscription = Subscription { namespace, name, access, params, start: Arc::new(start) };
            self.subscriptions.push(subscription);
        }
    }

    /// A method by its name.
    pub(super) fn find(&self, name: &str) -> Option<(&'static Spec, &MethodCallback)> {
        Some((*self.specs.get(name)?, self.methods.method(name)?))
    }

    /// A subscription by its name.
    pub(super) fn find_subscription(&self, namespace: &str, name: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|it| it.namespace == namespace && it.name == name)
    }

    /// All methods, by name.
    pub(super) fn specs(&self) -> impl Iterator<Item = &'static Spec> + '_ {
        self.specs.values().copied()
    }

    /// All subscriptions.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.iter()
    }
}
