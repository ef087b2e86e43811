/// What is made of the maps of pseudo-masks; the defaults are SUM's.
public struct PseudoMaskRule: Sendable, Equatable {
    /// theta: a pixel counts in the dice loss where its certainty exceeds it.
    public var theta = 0.6
    /// Whether losses are weighted by certainty.
    public var weighsLosses = true
    /// Whether clicks are drawn in proportion to certainty.
    public var weighsClicks = true
    /// Whether the refined masks are the labels, trusted everywhere.
    public var usesRefined = false

    /// SUM's rule.
    public init() {}
}
