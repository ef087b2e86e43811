/// A fact of a run beside its steps and evaluations: a type of its own, so that any sink can plot it.
///
/// A new fact is one more conformance; the sinks for text and JSON lines need no change.
public protocol RunFact: Sendable {
    /// The name of the event, as in `log.jsonl`.
    static var event: String { get }
    /// Its figures, in order.
    var fields: [LogField] { get }
    /// The line for people.
    var line: String { get }
}
