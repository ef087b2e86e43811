import Foundation
import Testing
import TestSupport
import WeightFiles

/// Expects `body` to throw a `WeightFileError` of one rule, and returns it for further checks.
@discardableResult
func expectRefusal(
    _ rule: WeightFileError.Rule, _ label: String = "", sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Void
) -> WeightFileError? {
    do {
        try body()
        Issue.record("\(label): accepted, though \(rule) is broken", sourceLocation: sourceLocation)
    } catch let error as WeightFileError {
        if error.rule != rule {
            Issue.record("\(label): refused for \(error.rule), not \(rule): \(error)", sourceLocation: sourceLocation)
        }
        return error
    } catch {
        Issue.record("\(label): a foreign error: \(error)", sourceLocation: sourceLocation)
    }
    return nil
}

/// The path of a file in the folder Fixtures.
func fixture(_ name: String) throws -> String {
    try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/" + name).path
}

/// The little-endian bytes of a number.
func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
}

extension TemporaryFolder {
    /// A folder for files of weights.
    convenience init() throws { try self.init("weights") }
}
