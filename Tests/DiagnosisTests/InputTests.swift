import Collectives
import Diagnosis
import Foundation
import Telemetry
import Testing

/// Recipes, weights and images on the ranks.
@Suite struct InputTests {
    @Test func oneRecipe() {
        #expect(findings("recipe", FakeCluster.two()).line == "ok | digest bbbbbbbbbbbb on all ranks | ")
        let none = FakeCluster.two { $0.recipe.isGiven = false }
        #expect(findings("recipe", none).line.contains("no recipe given; checking the defaults"))
    }

    @Test func anotherSettingOnOneRank() {
        let mixed = FakeCluster.two {
            if $0.rank == 2 { $0.recipe.settings = [.init("optimizer.learningRate", "0.5")] }
        }
        let finding = findings("recipe", mixed)
        #expect(finding.first?.state == .fault(.usage))
        #expect(
            finding.line.contains(
                "rank 2 on node1 has optimizer.learningRate = 0.5, ranks 0-1, 3 on node0 and node1 have auto"))
        #expect(finding.line.contains("mpirun -x KEDGE_SET"))
    }

    @Test func aRecipeThatOneRankCannotRead() {
        let broken = FakeCluster.two {
            if $0.host == "node1" { ($0.recipe.problem, $0.recipe.status) = ("r.yaml: cannot be read", 66) }
        }
        let finding = findings("recipe", broken)
        #expect(finding.first?.state == .fault(.noInput))
        #expect(
            finding.line.contains("ranks 2-3 on node1: r.yaml: cannot be read") && finding.line.contains("--dry-run"))
        #expect(Report(broken).exitCode == .noInput)
        // What the other ranks know is judged all the same.
        #expect(findings("weights", broken).line.hasPrefix("ok"))
        let all = FakeCluster.two { ($0.recipe.problem, $0.recipe.status) = ("r.yaml: cannot be read", 66) }
        #expect(
            findings("recipe", all).count == 1 && findings("weights", all).isEmpty && findings("images", all).isEmpty)
    }

    @Test func weightsThatRankZeroReads() {
        #expect(
            findings("weights", FakeCluster.two()).line
                == "ok | weights/mobile_sam.pt, content cccccccccccc, read by rank 0 on node0 for all | ")
        #expect(findings("weights", FakeCluster.two { $0.weights.path = "" }).line.contains("needs no file"))
    }

    @Test func missingWeights() {
        func finding(given: Bool, status: Int32) -> [Finding] {
            findings(
                "weights",
                FakeCluster.two {
                    $0.recipe.isGiven = given
                    guard $0.rank == 0 else { return }
                    $0.weights.problem = "weight file weights/mobile_sam.pt does not exist"
                    ($0.weights.remedy, $0.weights.status) = ("fetch it", status)
                })
        }
        #expect(finding(given: true, status: 66).first?.state == .fault(.noInput))
        #expect(finding(given: true, status: 65).first?.state == .fault(.data))
        #expect(
            finding(given: false, status: 66).line
                == "warning | rank 0 on node0: weight file weights/mobile_sam.pt does not exist | fetch it")
    }

    @Test func foldersOfImages() {
        #expect(findings("images", FakeCluster.two()).line == "ok | cells, readable on all ranks | ")
        let unmounted = FakeCluster.two { if $0.host == "node1" { $0.recipe.missingFolders = ["cells"] } }
        let finding = findings("images", unmounted)
        #expect(finding.first?.state == .fault(.noInput))
        #expect(
            finding.line.contains("ranks 2-3 on node1: cannot read cells") && finding.line.contains("mount the folder"))
        #expect(findings("images", FakeCluster.two { $0.recipe.folders = nil }).line.contains("--set data.root=DIR"))
        #expect(findings("images", FakeCluster.two { $0.recipe.isGiven = false }).isEmpty)
    }
}

/// The report as a whole, and a real examination.
@Suite struct ReportTests {
    @Test func aHealthyClusterHasNoFault() {
        for ranks in [FakeCluster.two(), FakeCluster.ranks(["a"])] {
            let report = Report(ranks)
            #expect(
                report.entries.allSatisfy { $0.finding.state == .ok && $0.finding.remedy.isEmpty }, "\(report.text)")
            #expect(report.exitCode == .done)
        }
        #expect(Report(FakeCluster.two()).summary == "4 ranks, 2 nodes: no fault")
    }

    @Test func linesAreAlignedAndRemediesBelow() {
        let report = Report(
            FakeCluster.two {
                $0.system.openFiles = 100
                if $0.rank == 3 { $0.program = "dddddddddddddd" }
            })
        let lines = report.text.split(separator: "\n").map(String.init)
        #expect(lines.contains("ok       launcher       mpirun, 4 ranks"))
        let program = lines.firstIndex { $0.hasPrefix("fault    program        rank 3 on node1 runs") }
        #expect(
            program.map { lines[$0 + 1] }
                == "                        -> copy one build to all nodes, or start it from a shared folder")
        #expect(lines.last == "4 ranks, 2 nodes: 1 fault (status 64), 1 warning")
    }

    @Test func theFirstFaultDecides() {
        let report = Report(
            FakeCluster.two {
                $0.system.runFolder?.isWritable = false
                $0.recipe.missingFolders = ["cells"]
            })
        #expect(report.exitCode == .noInput)
        #expect(Report(FakeCluster.two { $0.system.openFiles = 100 }).exitCode == .done)
    }

    @Test func factsTravelAndForeignOnesAreNamed() throws {
        var facts = try FakeCluster.two().map { Array(try JSONEncoder().encode($0)) }
        let hosts = ["node0", "node0", "node1", "node1"]
        #expect(Report(facts: facts, hosts: hosts).text == Report(FakeCluster.two()).text)
        facts[2] = Array("{}".utf8)
        let report = Report(facts: facts, hosts: hosts)
        #expect(report.exitCode == .usage)
        #expect(report.entries[0].finding.found.hasPrefix("rank 2 on node1 reports facts in another format"))
        #expect(report.summary.hasPrefix("4 ranks"))
    }

    @Test func theObjectForPrograms() throws {
        let data = try JSONEncoder().encode(Report(FakeCluster.two { $0.recipe.missingFolders = ["cells"] }))
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(object["status"] as? Int == 66)
        #expect((object["ranks"] as? [Any])?.count == 4)
        let checks = try #require(object["checks"] as? [[String: String]])
        let images = try #require(checks.first { $0["check"] == "images" })
        #expect(images["state"] == "fault" && images["remedy"]?.isEmpty == false)
    }

    /// A rank whose recipe is wrong takes part to the end, and all ranks learn the status.
    @Test(.timeLimit(.minutes(1))) func allRanksEndTogether() throws {
        let reports = try InProcessCommunicator.run(ranks: 3) { communicator in
            var text = ""
            let learningRate = communicator.rank == 1 ? "fast" : "1e-3"
            let code = try Examination(
                recipe: nil,
                settings: ["model.kind=tiny", "data.root=/", "optimizer.learningRate=\(learningRate)"],
                environment: [:]
            ).run(communicator) { text = $0.text }
            #expect(code == .usage)
            return text
        }
        #expect(reports[0].contains("rank 1 on") && reports[0].contains("optimizer.learningRate = fast"))
        #expect(reports[1].isEmpty && reports[2].isEmpty)
    }
}
