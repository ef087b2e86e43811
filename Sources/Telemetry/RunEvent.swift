/// A value in the log: a scalar, so that each line is a flat object any table tool can read.
public enum LogValue: Equatable, Sendable {
    case text(String)
    case integer(Int)
    case number(Double)
    case flag(Bool)
    case missing
}

/// One named value of a log event; the order of fields is the order of columns.
public struct LogField: Equatable, Sendable {
    /// Name in lower case with underscores, including the unit if there is one.
    public let name: String
    /// The value.
    public let value: LogValue

    /// Creates a field.
    public init(_ name: String, _ value: LogValue) {
        self.name = name
        self.value = value
    }
}

/// The severity of a log line.
public enum LogSeverity: String, Sendable, Comparable {
    case info, warning, error

    /// Orders by urgency.
    public static func < (first: LogSeverity, second: LogSeverity) -> Bool { first.rank < second.rank }

    private var rank: Int {
        switch self {
        case .info: 0
        case .warning: 1
        case .error: 2
        }
    }
}

/// An event that rank 0 passes to its sinks.
public enum RunEvent: Sendable {
    /// A run begins or resumes.
    case start(StartRecord)
    /// An interval of steps ended.
    case step(StepRecord)
    /// An evaluation ended.
    case evaluation(EvaluationRecord)
    /// Another fact with values.
    case fact(any RunFact)
    /// A message for the reader.
    case message(LogSeverity, String)
    /// The run ends.
    case end(EndRecord)
}
