/// A fact of a run besides its steps and evaluations: a type of its own, so that any sink can process its values.
///
/// A new fact is one more conformance; the text and JSON sinks need no change.
public protocol RunFact: Sendable {
    /// The name of the event, as in `log.jsonl`.
    static var event: String { get }
    /// Its values, in order.
    var fields: [LogField] { get }
    /// The line in the text log.
    var line: String { get }
}
