import Glibc

/// One fault to inject: a point, a step, a rank and an action, written `point@step:rank=action`.
///
/// Step and rank are numbers or `*`; actions are `kill`, `stop`, `throw`, `nan`, `sleep:SECONDS`, `enospc` and `eio`.
public struct Fault: Sendable, Equatable {
    /// The point.
    public let point: FaultPoint
    /// The step; nil for the first time at any step.
    public let step: Int?
    /// The rank; nil for every rank.
    public let rank: Int?
    /// The action.
    public let action: FaultAction

    /// Creates a fault.
    public init(point: FaultPoint, step: Int?, rank: Int?, action: FaultAction) {
        (self.point, self.step, self.rank, self.action) = (point, step, rank, action)
    }

    /// Parses the written form; nil if it is invalid.
    public init?(_ text: String) {
        let sides = text.split(separator: "=", omittingEmptySubsequences: false)
        guard sides.count == 2, let action = Self.action(String(sides[1])) else { return nil }
        let place = sides[0].split(separator: "@", omittingEmptySubsequences: false)
        guard place.count == 2, let point = FaultPoint(rawValue: String(place[0])) else { return nil }
        let numbers = place[1].split(separator: ":", omittingEmptySubsequences: false)
        guard numbers.count == 2, let step = Self.number(numbers[0]), let rank = Self.number(numbers[1]) else {
            return nil
        }
        self.init(point: point, step: step.value, rank: rank.value, action: action)
    }

    private static func number(_ text: Substring) -> (value: Int?, Void)? {
        if text == "*" { return (nil, ()) }
        guard let value = Int(text), value >= 0 else { return nil }
        return (value, ())
    }

    private static func action(_ text: String) -> FaultAction? {
        switch text {
        case "kill": return .kill
        case "stop": return .stop
        case "throw": return .fail
        case "nan": return .notANumber
        case "enospc": return .errorNumber(ENOSPC)
        case "eio": return .errorNumber(EIO)
        default:
            guard text.hasPrefix("sleep:"), let seconds = Double(text.dropFirst(6)), seconds >= 0, seconds < 1e6 else {
                return nil
            }
            return .sleep(seconds)
        }
    }
}

/// The error of a fault with the action `throw`.
public struct InjectedFault: Error, CustomStringConvertible, Sendable, Equatable {
    /// The point at which it was thrown.
    public let point: FaultPoint

    /// Creates the error for a point.
    public init(point: FaultPoint) { self.point = point }

    /// One line.
    public var description: String { "\(point.rawValue): a fault asked for with --fault" }
}
