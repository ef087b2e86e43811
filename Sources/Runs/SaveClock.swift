import Foundation

/// The time between checkpoints.
public enum SaveInterval: RawRepresentable, Equatable, Sendable {
    /// As short as the measured cost of a save allows.
    case automatic
    /// This many seconds; 0 leaves it to the steps.
    case seconds(Double)

    /// Parses `auto` or a number.
    public init?(rawValue: String) {
        if rawValue == "auto" {
            self = .automatic
        } else if let seconds = Double(rawValue), (0...1e6).contains(seconds) {
            self = .seconds(seconds)
        } else {
            return nil
        }
    }

    /// `auto` or the number.
    public var rawValue: String {
        switch self {
        case .automatic: "auto"
        case .seconds(let seconds): seconds == seconds.rounded() ? String(Int(seconds)) : String(seconds)
        }
    }
}

/// Decides on rank 0 when a checkpoint is due by time. Without a clock of its own: times are seconds since the start.
package struct SaveClock: Sendable, Equatable {
    /// A step that takes longer is saved when it ends.
    package static let longStep = 1.0
    /// The share of the time that saves may take.
    static let share = 0.01
    /// The share of a long step that its save may take; only a slow disk reaches it.
    static let shareOfLongStep = 0.1
    /// No interval is shorter: every save writes to several files, and disks wear.
    static let shortest = 1.0
    /// The interval grows with the run to this share of its age, which bounds the number of saves of a long one.
    static let shareOfAge = 0.001

    private let interval: SaveInterval
    private var lastSave = 0.0
    /// Costs of the latest two saves.
    private var costs: [Double] = []

    package init(_ interval: SaveInterval) { self.interval = interval }

    /// A save began.
    package mutating func saved(at now: Double) { lastSave = now }

    /// A save in the background has cost the training this many seconds.
    package mutating func note(cost: Double) { costs = costs.suffix(1) + [cost] }

    /// The cost of a save; a single slow one does not count.
    private var cost: Double { costs.min() ?? 0 }

    /// True if a save is due at the end of a step that took `step` seconds.
    package func isDue(at now: Double, step: Double) -> Bool {
        let elapsed = now - lastSave
        switch interval {
        case .seconds(let seconds): return seconds > 0 && elapsed >= seconds
        case .automatic:
            if step >= Self.longStep { return elapsed >= cost / Self.shareOfLongStep }
            return elapsed >= max(Self.shortest, cost / Self.share, now * Self.shareOfAge)
        }
    }

    /// Seconds a rank waits for its file before the next step begins.
    ///
    /// A save that is sealed at once is published long before the end of a long step. Short steps may as well seal it
    /// one step later. A local disk needs 10 to 40 ms; only a slower one is waited for longer.
    ///
    /// - Parameter step: The duration of the latest step.
    package func patience(step: Double) -> Double {
        interval == .automatic ? min(max(Self.shareOfLongStep * step, 0.02), 1) : 0.1
    }
}
