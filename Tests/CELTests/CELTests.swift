import CEL
import JSON
import Testing

/// Compiles and evaluates.
func evaluate(
    _ source: String, _ variables: [String: (CELType, CELValue)] = [:], libraries: CELLibraries = .kubernetes
) throws -> CELValue {
    let environment = CELEnvironment(variables: variables.map { ($0.key, $0.value.0) }, libraries: libraries)
    var budget = CELBudget()
    return try environment.compile(source).evaluate(variables.mapValues(\.1), budget: &budget)
}

/// A type with the usual shapes of a custom resource, and an object of it.
let widget = CELObjectType(name: "Widget") {
    [
        "replicas": .init(.int), "max": .init(.int), "name": .init(.string), "ratio": .init(.double),
        "tags": .init(.list(.string), listKind: .set), "labels": .init(.map(.string, .string)),
        "when": .init(.timestamp), "wait": .init(.duration), "namespace": .init(.string), "a-b": .init(.string),
        "child": .init(.object(widget)),
        "ports": .init(
            .list(
                .object(CELObjectType(name: "Port") { ["name": .init(.string), "port": .init(.int)] })),
            listKind: .map(keys: ["name"])),
        "any": .init(.dyn),
    ]
}
let widgetJSON: JSON = [
    "replicas": 3, "max": 5, "name": "web", "ratio": 2, "tags": ["b", "a"], "labels": ["app": "web"],
    "when": "2026-01-02T03:04:05.5Z", "wait": "1m30s", "namespace": "prod", "a-b": "x",
    "child": ["replicas": 1, "name": "inner"],
    "ports": [["name": "http", "port": 80], ["name": "dns", "port": 53]], "any": ["k": [1, "two"]],
]
let widgetVariables: [String: (CELType, CELValue)] = [
    "self": (.object(widget), CELValue(json: widgetJSON, type: .object(widget))),
    "oldSelf": (
        .object(widget),
        CELValue(
            json: [
                "replicas": 3, "tags": ["a", "b"],
                "ports": [["name": "dns", "port": 53], ["name": "http", "port": 80]],
            ], type: .object(widget))
    ),
]

@Suite("CEL")
struct CELTests {
    @Test(
        "Rules on objects hold",
        arguments: [
            "self.replicas <= self.max", "self.child.replicas == 1", "has(self.name) && !has(self.child.max)",
            "self.__namespace__ == 'prod' && self.a__dash__b == 'x'", "self.tags == oldSelf.tags",
            "self.ports == oldSelf.ports", "self.tags + ['c', 'a'] == ['b', 'a', 'c']",
            "(self.ports + [self.ports[0]]).size() == 2",
            "self.ports.all(p, p.port > 0 && p.port < 65536)", "self.ports.exists_one(p, p.name == 'dns')",
            "self.labels.all(k, self.labels[k] == 'web') && 'app' in self.labels",
            "self.labels['app'] == 'web' && self.labels.app == 'web'", "self.ratio == 2.0 && self.ratio > 1",
            "self.when < timestamp('2026-01-02T03:04:06Z') && self.when.getMonth() == 0",
            "self.wait == duration('90s') && self.wait.getSeconds() == 90",
            "self.any.k[1] == 'two' && self.any.k[0] + 1 == 2", "type(self.replicas) == int",
            "self.child.?max.orValue(7) == 7 && self.?name.hasValue()", "!self.?child.?child.?name.hasValue()",
            "self.?child.name.optMap(n, n + '!').orValue('') == 'inner!'",
            "[1, 2, 3].map(x, x * 2).filter(x, x > 2) == [4, 6]", "{'a': 1}.transformMap(k, v, v + 1) == {'a': 2}",
            "[3, 1, 2].sortBy(x, -x) == [3, 2, 1]", "self.ports.map(p, p.name).join(',') == 'http,dns'",
        ])
    func rules(source: String) throws {
        guard case .bool(true) = try evaluate(source, widgetVariables) else {
            Issue.record("\(source) does not hold")
            return
        }
    }

    @Test(
        "Kubernetes's libraries",
        arguments: [
            "[1, 2, 3].isSorted() && ![2, 1].isSorted()", "[1, 5, 2].max() == 5 && ['b', 'a'].min() == 'a'",
            "[1, 2].sum() == 3 && [duration('1s')].sum() == duration('1s')", "[1, 2, 1].lastIndexOf(1) == 2",
            "'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]') == ''",
            "'1 22 333'.findAll('[0-9]+') == ['1', '22', '333'] && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
            "url('https://user@example.com:80/a%20b?x=1&x=2').getHost() == 'example.com:80'",
            "url('https://[::1]:80/').getHostname() == '::1' && url('https://h:8080').getPort() == '8080'",
            "url('/a b'.replace(' ', '-')).getScheme() == '' && url('https://h/a?k=1&k=2').getQuery()['k'] == ['1', '2']",
            "isURL('https://example.com') && !isURL('../x') && !isURL('')",
            "quantity('1.5Gi').isGreaterThan(quantity('1G')) && quantity('50k').asInteger() == 50000",
            "quantity('1').add(quantity('500m')) == quantity('1500m') && quantity('3').sub(1).compareTo(quantity('2')) == 0",
            "isQuantity('1Ki') && !isQuantity('1X') && sign(quantity('-1')) == -1 && !quantity('1500m').isInteger()",
            "ip('10.0.0.1').family() == 4 && ip('::1').isLoopback() && !isIP('10.0.0.256')",
            "ip.isCanonical('::1') && !ip.isCanonical('0:0::1') && string(ip('0:0::1')) == '::1'",
            "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
            "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
            "cidr('192.168.0.0/24').prefixLength() == 24 && isCIDR('::/0') && !isCIDR('10.0.0.0/33')",
            "!format.dns1123Label().validate('my-name').hasValue() && format.dns1123Label().validate('My').hasValue()",
            "!format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()",
            "format.named('dns1123Label').hasValue() && !format.named('nope').hasValue()",
            "format.date().validate('2026-13-01').hasValue() && !format.datetime().validate('2026-01-01T00:00:00Z').hasValue()",
            "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-alpha.1').isLessThan(semver('1.0.0'))",
            "isSemver('1.0.0+build') && !isSemver('v1.0') && semver('v1.0', true).major() == 1",
            "sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 2], [2, 1, 1])",
            "[[1], [2, 3]].flatten() == [1, 2, 3] && [1, 1, 2].distinct() == [1, 2] && lists.range(3) == [0, 1, 2]",
            "'%s is %d of %.2f'.format([dyn('x'), 1, 2.5]) == 'x is 1 of 2.50'",
            "timestamp('2026-07-01T00:00:00Z').getHours('Europe/Berlin') == 2 && timestamp('2026-01-01T00:00:00Z').getHours('-08:00') == 16",
            "timestamp('2050-07-01T00:00:00Z').getHours('America/New_York') == 20",
        ])
    func libraries(source: String) throws {
        guard case .bool(true) = try evaluate(source) else {
            Issue.record("\(source) does not hold")
            return
        }
    }

    @Test(
        "Findings read as cel-go's",
        arguments: [
            ("self.nope", "ERROR: <input>:1:5: undefined field 'nope'\n | self.nope\n | ....^"),
            ("x", "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x\n | ^"),
            (
                "self.replicas <= 'a'",
                "ERROR: <input>:1:15: found no matching overload for '_<=_' applied to '(int, string)'\n | self.replicas <= 'a'\n | ..............^"
            ),
            (
                "self.name.size(1)",
                "ERROR: <input>:1:15: found no matching overload for 'size' applied to 'string.(int)'\n | self.name.size(1)\n | ..............^"
            ),
            ("foo(1)", "ERROR: <input>:1:4: undeclared reference to 'foo' (in container '')\n | foo(1)\n | ...^"),
            ("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^"),
            (
                "self.replicas.x",
                "ERROR: <input>:1:14: type 'int' does not support field selection\n | self.replicas.x\n | .............^"
            ),
            (
                "self.replicas.all(x, x)",
                "ERROR: <input>:1:5: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | self.replicas.all(x, x)\n | ....^"
            ),
            ("namespace", "ERROR: <input>:1:1: reserved identifier: namespace\n | namespace\n | ^"),
            ("has(x)", "ERROR: <input>:1:5: invalid argument to has() macro\n | has(x)\n | ....^"),
            (
                "self.name.matches('(')",
                "ERROR: <input>:1:19: invalid matches argument\n | self.name.matches('(')\n | ..................^"
            ),
            (
                "1 +\n  'a'",
                "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | 1 +\n | ..^"
            ),
        ])
    func findings(source: String, message: String) {
        let environment = CELEnvironment(variables: [("self", .object(widget))])
        #expect { try environment.compile(source) } throws: { "\($0)" == message }
    }

    @Test(
        "Errors of evaluation",
        arguments: [
            ("self.child.max > 1", "no such key: max"), ("1 / (self.replicas - 3)", "division by zero"),
            ("9223372036854775807 + self.replicas", "integer overflow"),
            ("uint(1) - uint(self.replicas)", "unsigned integer overflow"),
            ("self.tags[7] == ''", "index out of bounds: 7"), ("self.labels['x'] == ''", "no such key: x"),
            ("self.any.k + 1 == 2", "no such overload"),
            ("[self.max].filter(x, x > 9).max() == 1", "max called on empty list"),
            ("self.child.max > 1 && self.replicas == 3", "no such key: max"),
        ])
    func failures(source: String, message: String) throws {
        #expect { try evaluate(source, widgetVariables) } throws: { "\($0)" == message }
    }

    @Test("An error on one side is forgotten when the other decides")
    func absorption() throws {
        for source in [
            "self.child.max > 1 || true", "!(self.child.max > 1 && false)", "[1, 0].exists(x, 1 / x == 1)",
            "![0, 1].all(x, 1 / x > 1)",
        ] {
            guard case .bool(true) = try evaluate(source, widgetVariables) else {
                Issue.record("\(source) does not hold")
                continue
            }
        }
    }

    @Test("A program knows its variables and type")
    func program() throws {
        let environment = CELEnvironment(variables: [
            ("self", .object(widget)), ("oldSelf", .object(widget)), ("authorizer", CELEnvironment.authorizer),
            ("authorizer.requestResource", CELEnvironment.resourceCheck),
        ])
        let rule = try environment.compile("self.tags.exists(oldSelf, oldSelf == 'a')")
        #expect(rule.references == ["self"] && rule.resultType == .bool)
        #expect(try environment.compile("self.replicas == oldSelf.replicas").references == ["self", "oldSelf"])
        #expect(try environment.compile("self.child.ports[0]").resultType.description == "Port")
        let check = try environment.compile("authorizer.requestResource.check('get').allowed()")
        #expect(check.references == ["authorizer.requestResource"])
        #expect(throws: CELProblem.self) { try environment.compile("1 + 1", expecting: .bool) }
    }

    private struct Answers: CELAuthorizer {
        func decide(_ question: CELAuthorizationQuestion) -> CELAuthorizationDecision {
            let isKnown = question.group == "apps" && question.resource == "deployments" && question.namespace == "n"
            return .init(allowed: isKnown && question.verb == "get" && question.serviceAccount == nil, reason: "rules")
        }
    }

    @Test("The authorizer is asked what the expression says, and twice at most")
    func authorizer() throws {
        let variables: [String: (CELType, CELValue)] = [
            "authorizer": (CELEnvironment.authorizer, .authorizer(Answers()))
        ]
        let question = "authorizer.group('apps').resource('deployments').namespace('n')"
        for (source, expected) in [
            ("\(question).check('get').allowed()", true), ("\(question).check('delete').allowed()", false),
            ("\(question).check('get').reason() == 'rules'", true),
            ("authorizer.path('/healthz').check('get').errored()", false),
            (
                "authorizer.serviceAccount('n', 'sa').group('apps').resource('deployments').namespace('n').check('get').allowed()",
                false
            ),
        ] {
            let result = try evaluate(source, variables)
            #expect(result.isEqual(to: .bool(expected)), "\(source)")
        }
        let thrice = (0..<3).map { _ in "\(question).check('get').allowed()" }.joined(separator: " && ")
        #expect { try evaluate(thrice, variables) } throws: { ($0 as? CELFailure)?.kind == .callCostExceeded }
    }

    @Test("Objects and patches of mutating policies become JSON")
    func mutation() throws {
        let object = try evaluate(
            "Object{spec: Object.spec{replicas: 3, ?paused: optional.none(), template: Object.spec.template{x: ['a']}}}",
            libraries: [.kubernetes, .mutation])
        #expect(object.json == ["spec": ["replicas": 3, "template": ["x": ["a"]]]])
        let patch = try evaluate(
            "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b~c'), value: 'v'}]",
            libraries: [.kubernetes, .mutation])
        #expect(patch.json == [["op": "add", "path": "/metadata/labels/a~1b~0c", "value": "v"]])
        #expect(throws: CELFailure.self) {
            try evaluate("Object{spec: Object.status{}}", libraries: [.kubernetes, .mutation])
        }
        #expect(throws: CELProblem.self) { try evaluate("Object{}") }
    }

    @Test("Names of properties are escaped both ways")
    func names() {
        for (property, identifier) in [
            ("a-b", "a__dash__b"), ("a.b/c", "a__dot__b__slash__c"), ("namespace", "__namespace__"),
            ("a__b", "a__underscores__b"), ("_x", "_x"), ("x", "x"),
        ] {
            #expect(CELName.escape(property) == identifier)
            #expect(CELName.unescape(identifier) == property)
        }
        #expect(CELName.escape("1a") == nil && CELName.escape("a b") == nil && CELName.escape("") == nil)
        #expect(CELName.unescape("a__nope__b") == nil)
    }

    private struct Computed: CELFields {
        func field(_ name: String, budget: inout CELBudget) throws(CELFailure) -> CELValue? {
            budget.used += 100
            return name == "answer" ? .int(42) : nil
        }
    }

    @Test("Computed fields are read on demand and pay from the same budget")
    func computed() throws {
        let type = CELObjectType(name: "variables") { ["answer": .init(.int), "other": .init(.int)] }
        let environment = CELEnvironment(variables: [("variables", .object(type))])
        var budget = CELBudget()
        let value = CELValue.object(.fields(Computed(), type))
        let program = try environment.compile("variables.answer == 42 || variables.other == 1")
        #expect(try program.evaluate(["variables": value], budget: &budget).isEqual(to: .bool(true)))
        #expect(budget.used == 103)
        var small = CELBudget(limit: 50)
        #expect { try program.evaluate(["variables": value], budget: &small) } throws: {
            ($0 as? CELFailure)?.kind == .budgetExceeded
        }
    }
}
