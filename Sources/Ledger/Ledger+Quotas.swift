import Synchronization

extension Ledger {
    // MARK: Quotas

    /// True when some role has a quota; costs nothing to ask.
    public var hasQuotas: Bool { knowsQuotas.load(ordering: .acquiring) }

    /// Says which quotas there are, by topmost role. What counts against them is counted from now on.
    public func setQuotas(_ rules: [String: RoleQuota]) {
        let rules = rules.filter { !$0.value.isEmpty }
        let isChanged = change { state -> Bool in
            guard state.quotas.rules != rules else { return false }
            var quotas = QuotaView()
            quotas.rules = rules
            quotas.eases = state.quotas.eases + 1
            if !rules.isEmpty {
                for node in state.nodes {
                    guard let node else { continue }
                    quotas.count(from: LedgerSnapshot.Node(name: node.node.name), to: node.node)
                    for claim in node.claims.values { quotas.count(claim, sign: 1) }
                }
            }
            state.quotas = quotas
            knowsQuotas.store(!rules.isEmpty, ordering: .releasing)
            return true
        }
        if isChanged { relieve() }
    }

    /// Quotas and what counts against them now.
    public func quotas() -> QuotaView { state.withLock { $0.quotas } }

    /// True when a role has more than its limit, offers included.
    public func isAboveLimit(_ role: String) -> Bool {
        hasQuotas && quotas().rolesAboveLimit.contains(QuotaView.top(of: role))
    }

    /// Names who takes offers back that are in the way of a quota after pods took what it allows; the last one wins.
    ///
    /// It should take back offers of `rolesAboveLimit`, and while `isShort` those of roles without a guarantee.
    public func onQuotaStrain(_ handler: (@Sendable () -> Void)?) {
        state.withLock { $0.reliever = handler }
    }

    func relieveQuotas(after claims: [Claim]) {
        if hasQuotas, claims.contains(where: \.isOfPod) { relieve() }
    }

    private func relieve() {
        let handler = state.withLock { state -> (@Sendable () -> Void)? in
            guard let reliever = state.reliever, !state.quotas.offered.isZero else { return nil }
            return state.quotas.isShort || !state.quotas.rolesAboveLimit.isEmpty ? reliever : nil
        }
        handler?()
    }
}

extension Ledger {
    // MARK: Start

    /// Says that somebody will tell what is reserved, and that deciders should wait for it.
    public func expectReservations() { reservationsExpected.store(true, ordering: .releasing) }

    /// Says that what is reserved is recorded.
    public func markReservationsKnown() { reservationsExpected.store(false, ordering: .releasing) }

    /// Returns when what is reserved is recorded, at once where nobody reserves, and in any case after a time.
    public func waitForReservations(atMost limit: Duration) async {
        let end = ContinuousClock.now + limit
        while reservationsExpected.load(ordering: .acquiring), ContinuousClock.now < end, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(10))
        }
    }
}
