import AdaptationMethods
import Adapters
import Benchmarking
import CheckpointStore
import Collectives
import Datasets
import Foundation
import Imaging
import Machine
import PlainText
import Recipes
import Routing
import Runs
import SegmentAnything
import Telemetry
import WeightFiles

/// The message and exit code of an error from any module.
enum Failure {
    /// The error in one line.
    static func line(for error: any Error) -> String {
        "\(error)".split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            .joined(separator: "; ").onOneLine
    }

    /// Writes an error line to standard error.
    static func report(_ line: String) {
        StandardError.write("kedge: error: \(line)".onOneLine)
    }

    /// Writes a notice to standard error.
    static func notice(_ line: String) { StandardError.write("kedge: \(line)".onOneLine) }

    /// The documented exit code of an error.
    static func exitCode(for error: any Error) -> ExitCode {
        switch error {
        case let error as RecipeError: error.isFileMissing ? .noInput : .usage
        case let error as RunError: error.exitCode
        case let error as ScalingError: error.exitCode
        case is ResourceShortage: .resources
        case let error as WeightFileError:
            switch error.rule {
            case .fileUnreadable: .noInput
            case .spaceLeft, .writable: .cannotWrite
            default: .data
            }
        case let error as ImagingError:
            switch error.code {
            case .unreadable: .noInput
            case .unwritable, .diskFull: .cannotWrite
            case .outOfMemory: .resources
            default: .data
            }
        case let error as DatasetError: error.exitCode
        case let error as CollectivesError:
            switch error.kind {
            case .wrongLauncher: .usage
            case .nodeMemory: .resources
            default: .internalFault
            }
        case let error as CheckpointError:
            switch error.kind {
            case .missing: .noInput
            case .damaged, .noneUsable: .checkpointUnusable
            case .changed: .usage
            case .locked, .cannotWrite: .cannotWrite
            }
        case let error as RoutingError:
            switch error.kind {
            case .query: .usage
            case .memory: .data
            case .notFinite: .nonFinite
            }
        case is TelemetryError: .cannotWrite
        case is SegmentAnythingError, is AdaptationMethodError, is AdapterError: .usage
        default: .internalFault
        }
    }
}
