/// What a source's images have to learn from, in a run that mixes sources (SUM).
public enum Supervision: String, CaseIterable, Sendable {
    /// Their own labels.
    case full
    /// Boxes, points or outlines, which the unadapted model completes to pseudo-masks.
    case weak
    /// Nothing: the unadapted model finds pseudo-masks.
    case none
}
