// Points that were a prompt say nothing about the mask they gave: it nearly always contains them. Annotated points are
// therefore divided. Of an instance with several points on it every second one is held out, and so are every second one
// off it, and for every instance the first points of its nearest neighbours, which must be outside its mask.

/// The annotated points of an image, divided into prompts and points to score.
package struct HeldOutPoints {
    /// The points of each instance that serve as its prompt.
    package let prompts: [[LabelledPoint]]
    /// The points that each instance's mask is scored by; empty for a single instance with a single point.
    package let scored: [[LabelledPoint]]

    /// Neighbours whose points are held out from an instance.
    package static let neighbours = 4

    /// Divides the points of an image's instances.
    package init(_ points: [[LabelledPoint]]) {
        let divided = points.map { own in (Self.divided(own, true), Self.divided(own, false)) }
        prompts = divided.map { $0.0.kept + $0.1.kept }
        let firsts = points.map { $0.first(where: \.isForeground) }
        scored = divided.indices.map { instance in
            divided[instance].0.held + divided[instance].1.held + Self.neighbours(of: instance, firsts)
        }
    }

    private static func divided(
        _ points: [LabelledPoint], _ isForeground: Bool
    ) -> (kept: [LabelledPoint], held: [LabelledPoint]) {
        let side = points.filter { $0.isForeground == isForeground }
        return (
            side.enumerated().filter { $0.offset % 2 == 0 }.map(\.element),
            side.enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        )
    }

    /// The points on the nearest other instances, as points off this one, by distance and then by number.
    private static func neighbours(of instance: Int, _ firsts: [LabelledPoint?]) -> [LabelledPoint] {
        guard let own = firsts[instance] else { return [] }
        func distance(_ point: LabelledPoint) -> Double {
            (point.x - own.x) * (point.x - own.x) + (point.y - own.y) * (point.y - own.y)
        }
        let others = firsts.enumerated().compactMap { other, point in
            point.flatMap { other == instance ? nil : (other, $0) }
        }
        return others.sorted { (distance($0.1), $0.0) < (distance($1.1), $1.0) }
            .prefix(neighbours).map { LabelledPoint(x: $0.1.x, y: $0.1.y, isForeground: false) }
    }
}
