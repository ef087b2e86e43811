public import Tensors

/// What an optimiser does with some of the parameters in its own way.
public struct ParameterGroup: Sendable, Equatable, Hashable {
    /// How weights decay.
    public enum Decay: String, Sendable {
        /// As the optimiser's configuration says.
        case asConfigured
        /// Not at all.
        case none
        /// An L2 term inside the gradient (Adam).
        case coupled
        /// A shrinking of the weights beside the gradient (AdamW).
        case decoupled
    }

    /// The name, for logs.
    public let name: String
    /// What the learning rate is multiplied with.
    public let rateFactor: Double
    /// How the weights decay.
    public let decay: Decay

    /// Describes a group; by default it is treated as the optimiser's configuration says.
    public init(_ name: String, rateFactor: Double = 1, decay: Decay = .asConfigured) {
        precondition(rateFactor >= 0 && rateFactor.isFinite, "a rate factor of \(rateFactor)")
        (self.name, self.rateFactor, self.decay) = (name, rateFactor, decay)
    }
}

/// Which parameters train, and where each stands in the flat vector that is exchanged, updated, hashed and saved.
public struct ParameterLayout: Sendable, Equatable {
    /// A parameter before it has a place.
    public struct Declaration: Sendable, Equatable {
        /// Its name in files: that of the weight file, or the adapter's own.
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
        /// Its first number in the flat vector.
        public var offset: Int { slot.offset }
        /// Its numbers in the flat vector.
        public var range: Range<Int> { slot.range }
    }

    /// The parameters in the order of their numbers.
    public private(set) var entries: [Entry] = []
    /// All numbers.
    public private(set) var count = 0
    private var slots: [String: ParameterSlot] = [:]

    /// A layout of nothing.
    public init() {}

    /// Gives parameters the places behind those that are there; names are unique.
    public mutating func append(_ declarations: [Declaration], group: ParameterGroup) {
        for declaration in declarations {
            let slot = ParameterSlot(offset: count, shape: declaration.shape)
            precondition(slots.updateValue(slot, forKey: declaration.name) == nil, "two parameters \(declaration.name)")
            entries.append(Entry(name: declaration.name, slot: slot, group: group))
            count += slot.shape.count
        }
    }

    /// The place of a parameter, or nil when it does not train.
    public func slot(of name: String) -> ParameterSlot? { slots[name] }

    /// The parameter that a number of the flat vector belongs to.
    public func entry(containing index: Int) -> Entry? {
        guard (0..<count).contains(index) else { return nil }
        var (low, high) = (0, entries.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if entries[middle].offset <= index { low = middle } else { high = middle }
        }
        return entries[low]
    }

    /// The parts of a range of the flat vector that one group each has, in order; neighbours of one group are one part.
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
