public import Tensors

/// Parameters that the optimiser treats alike, and how.
public struct ParameterGroup: Sendable, Equatable, Hashable {
    /// How weights decay.
    public enum Decay: String, Sendable {
        /// According to the optimiser's configuration.
        case asConfigured
        /// No decay.
        case none
        /// An L2 term inside the gradient (Adam).
        case coupled
        /// A shrinking of the weights separate from the gradient (AdamW).
        case decoupled
    }

    /// The name, for logs.
    public let name: String
    /// The factor on the learning rate.
    public let rateFactor: Double
    /// How the weights decay.
    public let decay: Decay

    /// Creates a group; by default it follows the optimiser's configuration.
    public init(_ name: String, rateFactor: Double = 1, decay: Decay = .asConfigured) {
        precondition(rateFactor >= 0 && rateFactor.isFinite, "a rate factor of \(rateFactor)")
        (self.name, self.rateFactor, self.decay) = (name, rateFactor, decay)
    }
}

/// The parameters that train, and the place of each in the flat vector that is exchanged, updated, hashed and saved.
public struct ParameterLayout: Sendable, Equatable {
    /// A parameter without a place yet.
    public struct Declaration: Sendable, Equatable {
        /// Its name in files: that in the weight file, or the adapter's own.
        public let name: String
        /// Its extents.
        public let shape: Shape

        /// Declares a parameter.
        public init(_ name: String, _ shape: Shape) { (self.name, self.shape) = (name, shape) }
    }

    /// A parameter and its place.
    public struct Entry: Sendable, Equatable {
        /// Its name in files.
        public let name: String
        /// Its place.
        public let slot: ParameterSlot
        /// How the optimiser treats it.
        public let group: ParameterGroup

        /// Its extents.
        public var shape: Shape { slot.shape }
        /// Index of its first value in the flat vector.
        public var offset: Int { slot.offset }
        /// Indices of its values in the flat vector.
        public var range: Range<Int> { slot.range }
    }

    /// The parameters in the order of their places.
    public private(set) var entries: [Entry] = []
    /// Number of values in all.
    public private(set) var count = 0
    private var slots: [String: ParameterSlot] = [:]

    /// Creates an empty layout.
    public init() {}

    /// Places parameters after the existing ones; names are unique.
    public mutating func append(_ declarations: [Declaration], group: ParameterGroup) {
        for declaration in declarations {
            let slot = ParameterSlot(offset: count, shape: declaration.shape)
            precondition(slots.updateValue(slot, forKey: declaration.name) == nil, "two parameters \(declaration.name)")
            entries.append(Entry(name: declaration.name, slot: slot, group: group))
            count += slot.shape.count
        }
    }

    /// The same places with other groups.
    public func regrouped(_ group: (Entry) -> ParameterGroup) -> ParameterLayout {
        var layout = self
        layout.entries = entries.map { Entry(name: $0.name, slot: $0.slot, group: group($0)) }
        return layout
    }

    /// The place of a parameter, or nil when it does not train.
    public func slot(of name: String) -> ParameterSlot? { slots[name] }

    /// The parameter that contains an index of the flat vector.
    public func entry(containing index: Int) -> Entry? {
        guard (0..<count).contains(index) else { return nil }
        var (low, high) = (0, entries.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if entries[middle].offset <= index { low = middle } else { high = middle }
        }
        return entries[low]
    }

    /// Splits a range of the flat vector into parts of one group each, in order; adjacent parts of one group are
    /// joined.
    public func groups(in range: Range<Int>) -> [(range: Range<Int>, group: ParameterGroup)] {
        var parts: [(range: Range<Int>, group: ParameterGroup)] = []
        for entry in entries {
            let part = entry.range.clamped(to: range)
            guard !part.isEmpty else { continue }
            if let last = parts.last, last.group == entry.group {
                parts[parts.count - 1].range = last.range.lowerBound..<part.upperBound
            } else {
                parts.append((part, entry.group))
            }
        }
        return parts
    }
}
