/// The losses of one image, unweighted, under the names and in the order of its method.
public struct StepLosses: Sendable, Equatable {
    /// One term of the total.
    public struct Part: Sendable, Equatable {
        /// The name in logs, as in `focal`.
        public let name: String
        /// The loss before weighting.
        public let value: Double
        /// Its factor in the total.
        public let weight: Double

        /// Creates a term.
        public init(_ name: String, _ value: Double, weight: Double) {
            (self.name, self.value, self.weight) = (name, value, weight)
        }
    }

    /// The terms.
    public let parts: [Part]
    /// Instances in the loss; 0 for an image without prompts.
    public let instances: Int

    /// Creates the losses of an image.
    public init(parts: [Part], instances: Int) { (self.parts, self.instances) = (parts, instances) }

    /// The sum of weight times value.
    public var total: Double { parts.reduce(0) { $0 + $1.weight * $1.value } }
    /// Whether every term is a finite number (the gradient is not checked).
    public var isFinite: Bool { parts.allSatisfy { $0.value.isFinite } }

    /// The value of a term, or nil if the method has none of that name.
    public subscript(name: String) -> Double? { parts.first { $0.name == name }?.value }
}
