/// The kinds of label that all instances of an image have.
public struct LabelKinds: OptionSet, Sendable {
    public let rawValue: UInt8

    /// Creates a set from its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A mask.
    public static let masks = LabelKinds(rawValue: 1)
    /// An annotated box.
    public static let boxes = LabelKinds(rawValue: 2)
    /// Annotated points.
    public static let points = LabelKinds(rawValue: 4)
    /// An annotated outline.
    public static let polygons = LabelKinds(rawValue: 8)

    /// The kinds in words, as in `masks and boxes`.
    public var description: String {
        let names = [(LabelKinds.masks, "masks"), (.boxes, "boxes"), (.points, "points"), (.polygons, "outlines")]
            .filter { contains($0.0) }.map(\.1)
        guard let last = names.last else { return "no labels" }
        return names.count == 1 ? last : names.dropLast().joined(separator: ", ") + " and " + last
    }

    /// The kinds of prompt that training can take from labels of these kinds.
    ///
    /// - Parameter source: Where prompts come from; masks that the model finds or completes give every kind.
    public func prompts(from source: PromptSource) -> [PromptKind] {
        switch source {
        case .automatic: return PromptKind.allCases
        case .pseudo: return isEmpty ? [] : PromptKind.allCases
        case .simulated, .annotations:
            let hasMasks = contains(.masks) && source == .simulated
            return PromptKind.allCases.filter { kind in
                switch kind {
                case .box: hasMasks || !isDisjoint(with: [.boxes, .polygons])
                case .point: hasMasks || contains(.points)
                case .coarse: hasMasks || contains(.polygons)
                }
            }
        }
    }

    /// The kinds of prompt that evaluation can take from labels of these kinds: those of training, and from a box the
    /// point in its middle.
    public func evaluationPrompts(from source: PromptSource) -> [PromptKind] {
        let own = prompts(from: source == .annotations ? .annotations : .simulated)
        return PromptKind.allCases.filter { kind in
            own.contains(kind) || kind == .point && own.contains(.box)
        }
    }
}

extension Sample {
    /// The kinds of label that all instances have.
    public var labelKinds: LabelKinds {
        var kinds: LabelKinds = []
        if instances != nil { kinds.insert(.masks) }
        if boxes != nil { kinds.insert(.boxes) }
        if points?.allSatisfy({ !$0.isEmpty }) == true { kinds.insert(.points) }
        if polygons != nil { kinds.insert(.polygons) }
        return kinds
    }
}

extension DatasetError {
    /// The error of an image whose labels do not give a kind of prompt.
    package static func unavailable(_ kind: PromptKind, _ kinds: LabelKinds, _ id: String) -> DatasetError {
        DatasetError(
            .unavailablePrompt, at: id, "its labels give no \(kind.rawValue) prompts, they are \(kinds.description)",
            remedy: "set prompts.kind=auto, or prompts.source=pseudo to make masks of boxes or points")
    }

    /// The error of an image without masks, for a method that learns from them.
    package static func withoutMasks(_ id: String) -> DatasetError {
        DatasetError(
            .missingMasks, at: id, "has no masks to learn from",
            remedy: "use a data set with masks, or a method that learns from weak labels")
    }
}
