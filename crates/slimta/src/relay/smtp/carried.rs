//! What every relay that speaks SMTP or LMTP lets its user say of connections.

/// The methods by which a relay that has a `carrier` is told of its connections.
macro_rules! carried {
    () => {
        /// Sets how long to wait for next hops. Default: see
        /// [`Timing`](crate::relay::Timing).
        #[must_use]
        pub fn with_timing(mut self, timing: $crate::relay::Timing) -> Self {
            self.carrier = self.carrier.with_timing(timing);
            self
        }

        /// Sets how many messages a connection carries before it is ended. Default
        /// 100; a message with more than 100 recipients counts for each hundred.
        #[must_use]
        pub fn with_messages_per_connection(
            mut self,
            messages: $crate::queue::ByDestination<u32>,
        ) -> Self {
            self.carrier = self.carrier.with_messages_per_connection(messages);
            self
        }

        /// Sets how long connections are kept. Default: see
        /// [`Keeping`](crate::relay::Keeping).
        #[must_use]
        pub fn with_keeping(mut self, keeping: $crate::relay::Keeping) -> Self {
            self.carrier = self.carrier.with_keeping(keeping);
            self
        }

        /// Sets what ends connections that are kept. Default: nothing, until nobody
        /// has used them for long.
        #[must_use]
        pub fn with_farewells(mut self, farewells: $crate::relay::Farewells) -> Self {
            self.carrier = self.carrier.with_farewells(farewells);
            self
        }

        /// Sets from which addresses of this host TCP connections are made. Default:
        /// as the system chooses.
        #[must_use]
        pub fn with_sources(
            mut self,
            sources: $crate::queue::ByDestination<$crate::relay::Sources>,
        ) -> Self {
            self.carrier = self.carrier.with_sources(sources);
            self
        }

        /// Sets what goes from elsewhere, and what this host calls itself. Default:
        /// nothing, and as it was told.
        #[must_use]
        pub fn with_origins(mut self, origins: $crate::relay::Origins) -> Self {
            self.carrier = self.carrier.with_origins(origins);
            self
        }

        /// Sets through which proxies TCP connections are made. Default: through none.
        #[must_use]
        pub fn with_proxies(
            mut self,
            proxies: $crate::queue::ByDestination<Option<$crate::relay::Socks5>>,
        ) -> Self {
            self.carrier = self.carrier.with_proxies(proxies);
            self
        }

        /// Sets how TCP connections are encrypted. Default: with the feature `tls`,
        /// opportunistic for all.
        #[must_use]
        pub fn with_tls(mut self, tls: $crate::relay::Tls) -> Self {
            self.carrier = self.carrier.with_tls(tls);
            self
        }
    };
}

pub(in crate::relay) use carried;
