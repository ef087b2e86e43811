print("kedge: no command is built yet");
