package import Foundation
import PlainText

/// Writes events as flat JSON objects, one per line, each short enough for one atomic append.
package enum JSONLine {
    /// Version of the names and meanings of the fields.
    package static let schema = 1
    /// Upper bound of a line's bytes, including its newline.
    package static let maximumBytes = 4096
    /// Longest text value in Unicode scalars; longer values are truncated and listed in `cut`. The encoder writes at
    /// most six bytes per scalar.
    package static let maximumTextScalars = 512

    /// The lines of one event.
    package static func lines(of event: RunEvent, at date: Date) -> [[UInt8]] {
        switch event {
        case .step(let record): lines(event: "step", record.fields, at: date)
        case .evaluation(let record): lines(event: "evaluation", record.fields, at: date)
        case .fact(let fact): lines(event: type(of: fact).event, fact.fields, at: date)
        case .message(let severity, let text):
            lines(event: severity.rawValue, [LogField("text", .text(text))], at: date)
        case .start(let record): startLines(record, at: date)
        case .end(let record):
            lines(
                event: "end",
                [
                    LogField("exit_code", .integer(Int(record.exitCode.rawValue))),
                    LogField("meaning", .text(record.exitCode.meaning)), LogField("step", .integer(record.step)),
                    LogField("images_seen", .integer(record.imagesSeen)),
                    LogField("bad_images", .integer(record.badImages)), LogField("seconds", .number(record.seconds)),
                ], at: date)
        }
    }

    private static func startLines(_ record: StartRecord, at date: Date) -> [[UInt8]] {
        let summary = [
            LogField("first_step", .integer(record.firstStep)), LogField("ranks", .integer(record.placement.count)),
            LogField("hosts", .integer(record.hosts.count)), LogField("openblas_core", .text(record.openBLASCore)),
            LogField("weights_sha256", .text(record.weightsDigest)),
            LogField("recipe_digest", .text(record.recipeDigest)),
        ]
        let versions = record.versions.map { LogField($0.name, .text($0.version)) }
        let recipe = record.recipe.map { LogField($0.key, .text($0.value)) }
        let placement = record.placement.enumerated().flatMap { rank, place in
            lines(
                event: "rank",
                [
                    LogField("rank", .integer(rank)), LogField("host", .text(place.host)),
                    LogField("cores", .integer(place.cores)), LogField("threads", .integer(place.threads)),
                ], at: date)
        }
        return lines(event: "start", summary, at: date) + lines(event: "versions", versions, at: date)
            + lines(event: "recipe", recipe, at: date) + placement
    }

    /// One line, or several with the same `event` if the fields do not fit in one.
    package static func lines(event: String, _ fields: [LogField], at date: Date) -> [[UInt8]] {
        let whole = line(event: event, fields, at: date)
        guard whole.count >= maximumBytes, fields.count > 1 else { return [whole] }
        let half = fields.count / 2
        return lines(event: event, Array(fields[..<half]), at: date)
            + lines(event: event, Array(fields[half...]), at: date)
    }

    private static func line(event: String, _ fields: [LogField], at date: Date) -> [UInt8] {
        var members: [String: Member] = [
            "event": .value(.text(event)), "schema": .value(.integer(schema)), "time": .value(.text(timestamp(date))),
        ]
        var nonFinite: [String] = []
        var cut: [String] = []
        for field in fields {
            switch field.value {
            case .number(let number) where !number.isFinite:
                nonFinite.append(field.name)
                members[field.name] = .value(.missing)
            case .text(let text) where text.unicodeScalars.count > maximumTextScalars:
                cut.append(field.name)
                members[field.name] = .value(.text(String(text.unicodeScalars.prefix(maximumTextScalars))))
            default: members[field.name] = .value(field.value)
            }
        }
        if !nonFinite.isEmpty { members["nonfinite"] = .names(nonFinite.sorted()) }
        if !cut.isEmpty { members["cut"] = .names(cut.sorted()) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Encoding fails only for non-finite numbers, which are null at this point.
        let json = (try? encoder.encode(members)) ?? Data("{}".utf8)
        return Array(String(decoding: json, as: UTF8.self).jsonWithoutMarks.utf8) + [UInt8(ascii: "\n")]
    }

    /// RFC 3339 in UTC with milliseconds.
    package static func timestamp(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// A member of the object: a scalar, or a list of field names.
    private enum Member: Encodable {
        case value(LogValue)
        case names([String])

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .names(let names): try container.encode(names)
            case .value(.text(let text)): try container.encode(text)
            case .value(.integer(let integer)): try container.encode(integer)
            case .value(.number(let number)): try container.encode(number)
            case .value(.flag(let flag)): try container.encode(flag)
            case .value(.missing): try container.encodeNil()
            }
        }
    }
}
