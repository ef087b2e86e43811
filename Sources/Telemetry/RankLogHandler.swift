public import Logging

/// Lets code that logs through swift-log write to the run's log.
///
/// Debug and trace are dropped; information reaches the sinks of rank 0; warnings of any rank are seen.
public struct RankLogHandler: LogHandler {
    private let log: RunLog
    private let label: String

    /// Level below which messages are dropped.
    public var logLevel = Logger.Level.info
    /// Values added to each message.
    public var metadata: Logger.Metadata = [:]
    /// Source of further values added to each message.
    public var metadataProvider: Logger.MetadataProvider?

    /// A handler for one logger.
    public init(label: String, log: RunLog) {
        self.label = label
        self.log = log
    }

    /// One value added to each message.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes a message as one sentence: label, text, then metadata in the order of its keys.
    public func log(event: LogEvent) {
        let provided = metadataProvider?.get() ?? [:]
        let values = metadata.merging(provided) { $1 }.merging(event.metadata ?? [:]) { $1 }
        let suffix = values.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        log.message(Self.severity(event.level), "\(label): \(event.message)\(suffix)")
    }

    private static func severity(_ level: Logger.Level) -> LogSeverity {
        switch level {
        case .trace, .debug, .info, .notice: .info
        case .warning: .warning
        case .error, .critical: .error
        }
    }
}
