import CEL
import JSON
import Testing

@Suite("CEL costs")
struct CostTests {
    private func program(_ source: String) throws -> CELProgram {
        try CELEnvironment(variables: [("self", .object(widget)), ("authorizer", CELEnvironment.authorizer)])
            .compile(source)
    }

    /// Sizes as a CRD's maxItems, maxProperties and maxLength would bound them.
    private func size(_ path: [String]) -> CELSize? {
        switch path.joined(separator: "/") {
        case "self/tags": CELSize(maximum: 10)
        case "self/tags/@items": CELSize(maximum: 20)
        case "self/name": CELSize(maximum: 100)
        case "self/ports": CELSize(maximum: 5)
        case "self/ports/@items/name": CELSize(maximum: 10)
        case "self/labels": CELSize(maximum: 4)
        default: nil
        }
    }

    @Test(
        "Estimates follow the sizes of what is walked",
        arguments: [
            ("self.replicas <= self.max", 5, 5), ("has(self.max)", 1, 1), ("self.name == 'a'", 3, 3),
            ("self.name.startsWith('abc')", 3, 3), ("self.name.contains('abc')", 2, 12),
            ("self.name.matches('^[a-z]{1,8}$')", 5, 35), ("self.name.lowerAscii() == 'x'", 3, 13),
            ("self.tags.all(t, t.startsWith('a'))", 3, 53), ("self.ports.exists(p, p.name == 'a')", 3, 38),
            ("self.tags.map(t, t + '!').size()", 14, 174), ("'a' in self.tags", 2, 12),
            ("self.replicas > 1 || self.max > 1", 3, 6), ("self.replicas > 1 ? 1 : self.max", 3, 5),
            ("self.labels.all(k, self.labels[k] != '')", 3, 31),
            ("self.tags.exists(t, self.tags.exists(u, t == u))", 3, 873),
            ("authorizer.path('/x').check('get').allowed()", 350_003, 350_003),
        ])
    func estimates(source: String, minimum: Int, maximum: Int) throws {
        let cost = try program(source).estimateCost(sizes: size)
        #expect(cost == CELCost(minimum: UInt64(minimum), maximum: UInt64(maximum)))
    }

    @Test("What nothing bounds is bounded by nothing")
    func unbounded() throws {
        #expect(try program("self.tags.all(t, t == 'a')").estimateCost { _ in nil }.maximum == .max)
        #expect(try program("self.name.matches('a+')").estimateCost { _ in nil }.maximum > 10_000_000)
    }

    @Test(
        "A run costs no more than its estimate",
        arguments: [
            "self.replicas <= self.max", "self.tags.all(t, t.startsWith('a') || t == 'b')",
            "self.ports.exists(p, p.port == 53 && p.name == 'dns')", "self.ports.exists_one(p, p.port == 53)",
            "self.tags.map(t, t + '!').size() == 2", "self.tags.filter(t, t != 'a').size() == 1",
            "self.labels.all(k, self.labels[k] != '')", "self.name.matches('^[a-z]+$') && self.name.contains('e')",
            "self.tags.exists(t, self.tags.exists(u, t == u))", "self.labels.transformMap(k, v, v + k).size() == 1",
            "self.tags.sort() == ['a', 'b'] && self.tags.distinct().size() == 2", "sets.contains(self.tags, ['a'])",
        ])
    func runs(source: String) throws {
        let program = try program(source)
        let cost = program.estimateCost(sizes: size)
        var budget = CELBudget()
        _ = try program.evaluate(widgetVariables.mapValues(\.1), budget: &budget)
        #expect(budget.used <= cost.maximum && budget.used >= 1)
    }

    @Test("Runs cost what upstream's do")
    func exact() throws {
        for (source, expected) in [
            ("self.replicas <= self.max", 5), ("has(self.name)", 1), ("self.ports[0].port == 80", 5),
            ("self.name == 'web'", 3),
            ("[1, 2, 3].all(x, x > 0)", 16), ("[1, 2].map(x, x * 2) == [2, 4]", 40), ("true || self.name == ''", 0),
        ] {
            var budget = CELBudget()
            _ = try program(source).evaluate(widgetVariables.mapValues(\.1), budget: &budget)
            #expect(budget.used == UInt64(expected), "\(source)")
        }
    }

    @Test("An evaluation stops at its limit, and the budget at its own")
    func limits() throws {
        let variables: [String: (CELType, CELValue)] = [
            "l": (.list(.int), CELValue(json: .array((0..<2000).map { .integer($0) }), type: .list(.int)))
        ]
        let program = try CELEnvironment(variables: [("l", .list(.int))])
            .compile("l.all(a, l.all(b, l.all(c, a + b + c >= 0)))")
        var budget = CELBudget()
        #expect { try program.evaluate(variables.mapValues(\.1), budget: &budget) } throws: {
            ($0 as? CELFailure)?.kind == .callCostExceeded
        }
        #expect(budget.used > 1_000_000 && budget.used < 1_000_100)
        budget = CELBudget(limit: 1000)
        #expect { try program.evaluate(variables.mapValues(\.1), budget: &budget) } throws: {
            ($0 as? CELFailure)?.kind == .budgetExceeded
        }
        #expect { try program.evaluate(variables.mapValues(\.1), budget: &budget) } throws: {
            ($0 as? CELFailure)?.kind == .budgetExceeded
        }
    }
}
