/// The kind of task of a source's masks, SUM's ids: what a user means by pointing at something.
public enum TaskKind: String, CaseIterable, Sendable {
    /// Anything: id 0, which has no vector.
    case none
    /// Salient objects: id 1.
    case salient
    /// Entities: id 2.
    case entity
    /// Parts: id 3.
    case part

    /// The id.
    public var id: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
