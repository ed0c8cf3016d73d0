import OrderedCollections

/// Keys and values on their way into containers. Owns raw memory: call `free` at the end.
struct ValueStack {
    private(set) var count = 0
    private var capacity = 0
    private var keys: UnsafeMutablePointer<String>?
    private var values: UnsafeMutablePointer<JSON>?
    private var fingerprints: UnsafeMutablePointer<UInt64>?

    @inline(__always)
    mutating func push(_ key: String, _ fingerprint: UInt64, _ value: consuming JSON) {
        if count == capacity { grow() }
        guard let keys, let values, let fingerprints else { return }
        (keys + count).initialize(to: key)
        (values + count).initialize(to: value)
        fingerprints[count] = fingerprint
        count += 1
    }

    /// True when a key stands on the stack above `start`.
    /// - Parameter fingerprint: nil compares the keys themselves with all.
    func contains(_ key: String, _ fingerprint: UInt64?, from start: Int) -> Bool {
        guard let keys, let fingerprints else { return false }
        for index in start..<count {
            if let fingerprint, fingerprints[index] != fingerprint { continue }
            if keys[index] == key { return true }
        }
        return false
    }

    /// The keys above `start`.
    func keys(from start: Int) -> Set<String> {
        guard let keys else { return [] }
        return Set(UnsafeBufferPointer(start: keys + start, count: count - start))
    }

    mutating func popArray(from start: Int) -> [JSON] {
        let size = count - start
        guard let keys, let values else { return [] }
        (keys + start).deinitialize(count: size)
        count = start
        return [JSON](unsafeUninitializedCapacity: size) { buffer, initialized in
            buffer.baseAddress?.moveInitialize(from: values + start, count: size)
            initialized = size
        }
    }

    mutating func popObject(from start: Int, areKeysUnique: Bool) -> JSONObject {
        let size = count - start
        guard let keys, let values else { return [:] }
        count = start
        let names = ContiguousArray<String>(unsafeUninitializedCapacity: size) { buffer, initialized in
            buffer.baseAddress?.moveInitialize(from: keys + start, count: size)
            initialized = size
        }
        let contents = ContiguousArray<JSON>(unsafeUninitializedCapacity: size) { buffer, initialized in
            buffer.baseAddress?.moveInitialize(from: values + start, count: size)
            initialized = size
        }
        if areKeysUnique { return JSONObject(uncheckedUniqueKeys: names, values: contents) }
        var members = JSONObject(minimumCapacity: size)
        for (name, value) in zip(names, contents) { members.updateValue(value, forKey: name) }
        return members
    }

    private mutating func grow() {
        let wanted = max(64, capacity * 2)
        let newKeys = UnsafeMutablePointer<String>.allocate(capacity: wanted)
        let newValues = UnsafeMutablePointer<JSON>.allocate(capacity: wanted)
        let newFingerprints = UnsafeMutablePointer<UInt64>.allocate(capacity: wanted)
        if let keys, let values, let fingerprints {
            newKeys.moveInitialize(from: keys, count: count)
            newValues.moveInitialize(from: values, count: count)
            newFingerprints.moveInitialize(from: fingerprints, count: count)
            keys.deallocate()
            values.deallocate()
            fingerprints.deallocate()
        }
        keys = newKeys
        values = newValues
        fingerprints = newFingerprints
        capacity = wanted
    }

    mutating func free() {
        keys?.deinitialize(count: count).deallocate()
        values?.deinitialize(count: count).deallocate()
        fingerprints?.deallocate()
        self = ValueStack()
    }
}
